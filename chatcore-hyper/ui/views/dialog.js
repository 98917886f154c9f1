import { h, icon, setText } from '../dom/dom.js';

/**
 * The frame of a dialog: a heading and the way out, and beneath them what it is about.
 * @param {string} title
 * @param {{class?: string, id: string}} props `id` of the heading
 * @param {...(Node | null)} children
 */
export function dialogView(title, { id, ...props }, ...children) {
  const close = {
    type: 'button',
    class: 'plain',
    'aria-label': 'Close',
    on: { click: (event) => event.currentTarget.closest('dialog').close() },
  };
  const head = h('div', { class: 'dialog-head' }, h('h2', { id }, title), h('button', close, icon('close')));
  return h('dialog', { 'aria-labelledby': id, ...props }, head, ...children);
}

/** Why something could not be done, as a sentence. @param {import('../core/protocol.js').ChatError} error */
export function failure({ code, message }) {
  if (code === 'disconnected') return 'There is no connection to the server. Try again in a moment.';
  const text = /[.!?]$/u.test(message) ? message : `${message}.`;
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}

/** Does what a button is for, one press at a time, and says beside it why it could not be done. @param {any} button @param {Element} error @param {() => Promise<void>} act */
export async function attempt(button, error, act) {
  button.disabled = true;
  setText(error, '');
  try {
    await act();
  } catch (reason) {
    setText(error, failure(reason));
  } finally {
    button.disabled = false;
  }
}
