import { focused } from './dom.js';

/** Copies a text; where a page is not trusted with the clipboard, by way of a selection. @param {string} text @returns {Promise<boolean>} */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

function copySelected(text) {
  const before = focused();
  const field = document.createElement('textarea');
  field.className = 'visually-hidden';
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  /** @type {?HTMLElement} */ (before)?.focus({ preventScroll: true });
  return done;
}
