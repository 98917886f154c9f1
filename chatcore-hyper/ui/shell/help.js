import { h, icon } from '../dom/dom.js';
import { hasSingleKeys, keyName, SHORTCUTS, turnSingleKeys } from '../dom/shortcuts.js';

/** `<chat-help>`: all keys. */
export class Help extends HTMLElement {
  #dialog;

  open() {
    this.#dialog ??= this.#build();
    if (this.#dialog.open) this.#dialog.close();
    else this.#dialog.showModal();
  }

  #build() {
    const close = { type: 'button', class: 'plain', 'aria-label': 'Close', on: { click: () => this.#dialog.close() } };
    const single = h('input', {
      type: 'checkbox',
      checked: hasSingleKeys(),
      on: { change: () => turnSingleKeys(single.checked) },
    });
    const dialog = h(
      'dialog',
      { class: 'help', 'aria-labelledby': 'help-title' },
      h(
        'div',
        { class: 'dialog-head' },
        h('h2', { id: 'help-title' }, 'Keyboard shortcuts'),
        h('button', close, icon('close')),
      ),
      h('label', { class: 'choice' }, single, 'Single keys, such as / and ?, and R on a message'),
      ...SHORTCUTS.map(({ title, shortcuts }) =>
        h('section', {}, h('h3', {}, title), h('dl', {}, ...shortcuts.map(rowView))),
      ),
    );
    this.append(dialog);
    return dialog;
  }
}

function rowView({ keys, label }) {
  const ways = keys.flatMap((held, at) => [
    ...(at > 0 ? [' or '] : []),
    ...held.map((key) => h('kbd', {}, keyName(key))),
  ]);
  return h('div', {}, h('dt', {}, label), h('dd', {}, ...ways));
}

customElements.define('chat-help', Help);
