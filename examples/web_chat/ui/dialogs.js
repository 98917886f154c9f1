/** Dialogs of the app's pages. */

import { h, setText } from '/chat/ui/chat.js';

/**
 * Asks a question with several answers.
 * @template T
 * @param {string} title
 * @param {Node[]} words
 * @param {{text: string, value: T, style: string}[]} answers the first one, which has the focus, changes nothing
 * @returns {Promise<?T>} null if the dialog was closed
 */
export function choose(title, words, answers) {
  return new Promise((resolve) => {
    let chosen = null;
    const buttons = answers.map(({ text, value, style }) =>
      h('button', { type: 'button', class: style, on: { click: () => dialog.close(String((chosen = value))) } }, text),
    );
    const dialog = h(
      'dialog',
      { class: 'question', 'aria-labelledby': 'question-title', on: { close: () => ended() } },
      h('h2', { id: 'question-title' }, title),
      ...words,
      h('div', { class: 'dialog-actions' }, ...buttons),
    );
    const ended = () => {
      dialog.remove();
      resolve(chosen);
    };
    document.body.append(dialog);
    dialog.showModal();
    buttons[0].focus();
  });
}

/**
 * Asks for a text, until `send` accepts it or the dialog is closed.
 * @param {{title: string, label: string, value: string, action: string, send: (text: string) => Promise<void>}} options
 */
export function askText({ title, label, value, action, send }) {
  const error = h('p', { class: 'field-error', id: 'text-error', role: 'alert' });
  const field = h('input', {
    value,
    maxlength: '32',
    dir: 'auto',
    spellcheck: 'false',
    'aria-describedby': 'text-error',
  });
  const button = h('button', { type: 'submit', class: 'primary' }, action);
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await send(field.value.trim());
      dialog.close();
    } catch ({ message }) {
      setText(error, message);
      field.setAttribute('aria-invalid', 'true');
      field.focus();
    } finally {
      button.disabled = false;
    }
  };
  const form = h(
    'form',
    { novalidate: true, on: { submit, input: () => setText(error, '') } },
    h('h2', { id: 'text-title' }, title),
    h('label', {}, h('span', {}, label), field),
    error,
    h(
      'div',
      { class: 'dialog-actions' },
      h('button', { type: 'button', class: 'quiet', on: { click: () => dialog.close() } }, 'Cancel'),
      button,
    ),
  );
  const dialog = h('dialog', { 'aria-labelledby': 'text-title', on: { close: () => dialog.remove() } }, form);
  document.body.append(dialog);
  dialog.showModal();
  field.select();
}

/** Shows a link to pass on. @param {string} title @param {string} words @param {{url: string, link: string, qr?: any}} made */
export function showMade(title, words, made) {
  const close = h('button', { type: 'button', class: 'primary', on: { click: () => dialog.close() } }, 'Done');
  const dialog = h(
    'dialog',
    { class: 'question', 'aria-labelledby': 'made-title', on: { close: () => dialog.remove() } },
    h('h2', { id: 'made-title' }, title),
    h('p', {}, words),
    linkView(made),
    h('div', { class: 'dialog-actions' }, close),
  );
  document.body.append(dialog);
  dialog.showModal();
}

/** A link with its picture for a camera, and its code. @param {{url: string, link: string, qr?: {size: number, path: string}}} made */
export function linkView({ url, link, qr }) {
  const copied = h('span', { role: 'status', class: 'hint' });
  const copy = async () => {
    const done = await navigator.clipboard.writeText(url).then(
      () => true,
      () => false,
    );
    setText(copied, done ? 'Copied.' : 'The browser does not allow copying: select the link.');
  };
  const field = h('input', { class: 'made-link', value: url, readonly: true, 'aria-label': 'Link' });
  field.addEventListener('focus', () => field.select());
  return h(
    'div',
    { class: 'made' },
    qr ? picture(qr) : null,
    h(
      'div',
      { class: 'made-line' },
      field,
      h('button', { type: 'button', class: 'primary', on: { click: copy } }, 'Copy'),
    ),
    copied,
    h('p', { class: 'hint' }, 'Or type this code: ', h('code', {}, link)),
  );
}

const SVG = 'http://www.w3.org/2000/svg';

/** A QR code: dark modules on light, whatever the theme, with the margin that cameras need. */
function picture({ size, path }) {
  const svg = document.createElementNS(SVG, 'svg');
  const attributes = {
    class: 'qr',
    viewBox: `-4 -4 ${size + 8} ${size + 8}`,
    role: 'img',
    'aria-label': 'QR code of the link',
  };
  for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
  const modules = document.createElementNS(SVG, 'path');
  modules.setAttribute('d', path);
  svg.append(modules);
  return svg;
}
