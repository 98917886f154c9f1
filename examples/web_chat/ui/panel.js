/** What the pages beside the chat have in common. */

import { h, setText } from '/chat/ui/chat.js';

/** Shows a page of sections. @param {string} title @param {...(Node | null)} sections */
export function showPanel(title, ...sections) {
  document.body.replaceChildren(
    h(
      'div',
      { class: 'panel' },
      h('header', {}, h('a', { class: 'way-back', href: '/' }, 'Back to the chat')),
      h('main', {}, h('h1', {}, title), ...sections),
    ),
  );
}

/** A section with a heading. @param {string} title @param {...(Node | string | null)} children */
export function section(title, ...children) {
  const id = title.toLowerCase().replace(/\W+/gu, '-');
  return h('section', { 'aria-labelledby': id }, h('h2', { id }, title), ...children);
}

/** A place for what went wrong, or well. */
export function status() {
  const line = h('p', { class: 'status', role: 'status' });
  return {
    line,
    say: (text) => {
      line.classList.remove('wrong');
      setText(line, text);
    },
    fail: ({ message }) => {
      line.classList.add('wrong');
      setText(line, message);
    },
  };
}

/** A button that can't be pressed again while its work is under way. */
export function button(text, style, work, fail) {
  const element = h('button', { type: 'button', class: style }, text);
  element.addEventListener('click', async () => {
    element.disabled = true;
    try {
      await work();
    } catch (error) {
      fail(error);
    } finally {
      element.disabled = false;
    }
  });
  return element;
}

/** Shows that a page can't be opened. @param {{message: string, status?: number}} error */
export function showTrouble(error) {
  if (error.status === 401) return location.replace('/');
  showPanel('This page can’t be opened', h('p', {}, error.message));
}

const UNITS = /** @type {const} */ ([
  ['day', 86_400_000],
  ['hour', 3_600_000],
]);

/** How long ago, to the hour: nothing finer is stored. @param {string} time */
export function ago(time) {
  const past = Date.now() - Date.parse(time);
  const [unit, size] = UNITS.find(([, ms]) => past >= ms) ?? [null, 1];
  if (!unit) return 'within the last hour';
  return new Intl.RelativeTimeFormat('en', { numeric: 'always' }).format(-Math.floor(past / size), unit);
}
