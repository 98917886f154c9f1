import { h } from '../dom/dom.js';

/** How long a toast is shown. */
const TOAST_MS = 6000;

/** Shows a short text that goes by itself. @param {Element} parent @param {string} text */
export function showToast(parent, text) {
  const toast = h('p', { class: 'toast', role: 'alert' }, text);
  parent.append(toast);
  setTimeout(() => toast.remove(), TOAST_MS);
}
