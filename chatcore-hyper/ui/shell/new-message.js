import '../views/people-field.js';
import { h, setText } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';
import { attempt, dialogView } from '../views/dialog.js';

/** The most people of a direct channel besides oneself. */
const MOST = 8;

/** `<chat-new-message>`: everybody, of whom one chooses whom to write to. Fires `chosen` with the name of the channel to open. */
export class NewMessage extends LiveElement {
  #dialog;
  /** @type {any} */
  #people;
  #submit;
  #error;

  /** @override */
  build() {
    this.#people = document.createElement('chat-people-field');
    this.#people.addEventListener('chosen', () => this.#update());
    this.#error = h('p', { class: 'field-error', role: 'alert' });
    this.#submit = h('button', { type: 'submit', class: 'primary' });
    const form = h(
      'form',
      { novalidate: true, on: { submit: (event) => this.#submitted(event) } },
      this.#people,
      this.#error,
      h('div', { class: 'dialog-actions' }, this.#submit),
    );
    this.#dialog = dialogView('New message', { id: 'new-message-title', class: 'with-people' }, form);
    this.append(this.#dialog);
  }

  open() {
    this.#people.core = this.core;
    this.#people.reset({ label: 'To: a name', excluded: [this.core.user.id], most: MOST });
    setText(this.#error, '');
    this.#update();
    this.#dialog.showModal();
    this.#people.focus();
  }

  #update() {
    const { length } = this.#people.chosen;
    setText(this.#submit, length === 0 ? 'Write to yourself' : length === 1 ? 'Write a message' : 'Write to the group');
  }

  #submitted(event) {
    event.preventDefault();
    attempt(this.#submit, this.#error, async () => {
      const name = await this.core.membership.openDirect(this.#people.chosen.map(({ id }) => id));
      this.#dialog.close();
      this.dispatchEvent(new CustomEvent('chosen', { detail: name }));
    });
  }
}

customElements.define('chat-new-message', NewMessage);
