import { channelKey } from '../text/channel-key.js';
import { h, icon, setText } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';
import { readChannelInfo } from '../core/protocol.js';

const REASONS = {
  bad_name: 'Use 1 to 64 letters, digits, “-”, “_” or “.”. Names such as “everyone” are reserved.',
  disconnected: 'There is no connection to the server. Try again in a moment.',
  not_allowed: 'You may not create channels here.',
};

/** Why a channel could not be made. @param {import('../core/protocol.js').ChatError} error */
export function reasonOf(error) {
  return REASONS[error.code] ?? error.message;
}

/** `<chat-create-channel>`: the dialog for a new channel. Fires `chosen` with the name of the one to open. */
export class CreateChannel extends LiveElement {
  #dialog;
  #form;
  #error;
  #taken;
  #submit;

  /** @override */
  build() {
    const close = { type: 'button', class: 'plain', 'aria-label': 'Close', on: { click: () => this.#dialog.close() } };
    const cancel = { type: 'button', class: 'quiet', on: { click: () => this.#dialog.close() } };
    this.#error = h('p', { class: 'field-error', id: 'create-channel-error', role: 'alert' });
    this.#submit = h('button', { type: 'submit', class: 'primary' }, 'Create');
    this.#form = h(
      'form',
      { novalidate: true, on: { submit: (event) => this.#submitted(event), input: () => this.#fail('') } },
      h(
        'div',
        { class: 'dialog-head' },
        h('h2', { id: 'create-channel-title' }, 'Create a channel'),
        h('button', close, icon('close')),
      ),
      h(
        'label',
        {},
        h('span', {}, 'Name'),
        h('input', {
          name: 'name',
          autocomplete: 'off',
          autocapitalize: 'none',
          spellcheck: 'false',
          maxlength: '64',
          placeholder: 'rust',
          dir: 'auto',
          'aria-describedby': 'create-channel-error',
        }),
      ),
      h(
        'label',
        {},
        h('span', {}, 'Topic ', h('small', {}, 'optional')),
        h('input', { name: 'topic', autocomplete: 'off', dir: 'auto' }),
      ),
      this.#error,
      h('div', { class: 'dialog-actions' }, h('button', cancel, 'Cancel'), this.#submit),
    );
    this.#dialog = h('dialog', { 'aria-labelledby': 'create-channel-title' }, this.#form);
    this.append(this.#dialog);
  }

  open() {
    this.#form.reset();
    this.#fail('');
    this.#form.elements.topic.maxLength = this.core.limits.topic_chars;
    this.#dialog.showModal();
    this.#form.elements.name.focus();
  }

  async #submitted(event) {
    event.preventDefault();
    if (this.#taken) return this.#choose(this.#taken);
    const { name, topic } = this.#form.elements;
    const fields = { name: name.value.trim(), ...(topic.value.trim() && { topic: topic.value.trim() }) };
    if (fields.name === '') return this.#fail('A channel needs a name.');
    this.#submit.disabled = true;
    try {
      this.#choose((await this.core.createChannel(fields)).name);
    } catch (error) {
      this.#refused(error, fields.name);
    } finally {
      this.#submit.disabled = false;
    }
  }

  #refused(error, name) {
    if (error.code !== 'name_taken') return this.#fail(reasonOf(error));
    const taken =
      readChannelInfo(error.channel)?.name ?? (typeof error.channel === 'string' ? error.channel : channelKey(name));
    this.#fail(`#${taken} exists already.`);
    this.#taken = taken;
    setText(this.#submit, `Open #${taken}`);
  }

  #fail(reason) {
    this.#taken = null;
    setText(this.#submit, 'Create');
    setText(this.#error, reason);
    this.#form.elements.name.setAttribute('aria-invalid', String(reason !== ''));
  }

  #choose(name) {
    this.#dialog.close();
    this.dispatchEvent(new CustomEvent('chosen', { detail: name }));
  }
}

customElements.define('chat-create-channel', CreateChannel);
