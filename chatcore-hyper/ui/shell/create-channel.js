import '../views/people-field.js';
import { channelKey } from '../text/channel-key.js';
import { h, setText } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';
import { readChannelInfo } from '../core/protocol.js';
import { dialogView, failure } from '../views/dialog.js';

const REASONS = {
  bad_name: 'Use 1 to 64 letters, digits, “-”, “_” or “.”. Names such as “everyone” are reserved.',
  not_allowed: 'You may not create channels here.',
};

/** Why a channel could not be made. @param {import('../core/protocol.js').ChatError} error */
export function reasonOf(error) {
  return REASONS[error.code] ?? failure(error);
}

/** `<chat-create-channel>`: the dialog for a new channel. Fires `chosen` with the name of the one to open. */
export class CreateChannel extends LiveElement {
  #dialog;
  #form;
  #error;
  #taken;
  #submit;
  #kinds;
  #private;
  /** @type {any} */
  #people;

  /** @override */
  build() {
    const cancel = { type: 'button', class: 'quiet', on: { click: () => this.#dialog.close() } };
    this.#error = h('p', { class: 'field-error', id: 'create-channel-error', role: 'alert' });
    this.#submit = h('button', { type: 'submit', class: 'primary' }, 'Create');
    this.#people = document.createElement('chat-people-field');
    const kind = (value, label, said) => {
      const input = h('input', { type: 'radio', name: 'kind', value, on: { change: () => this.#turned() } });
      return h('label', { class: 'choice' }, input, h('span', {}, label, h('small', {}, said)));
    };
    this.#kinds = h(
      'fieldset',
      { class: 'kinds' },
      h('legend', { class: 'visually-hidden' }, 'Who may read it'),
      kind('open', 'Open', 'Anyone can find and join it.'),
      kind('private', 'Private', 'Only people who are added can see it.'),
    );
    this.#private = h(
      'div',
      { class: 'private' },
      this.#people,
      h(
        'label',
        { class: 'choice' },
        h('input', { type: 'checkbox', name: 'history' }),
        'People added later can read earlier messages',
      ),
    );
    this.#form = h(
      'form',
      { novalidate: true, on: { submit: (event) => this.#submitted(event), input: () => this.#fail('') } },
      this.#kinds,
      h(
        'label',
        {},
        h('span', {}, 'Name'),
        h('input', {
          name: 'name',
          autocomplete: 'off',
          spellcheck: 'false',
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
      this.#private,
      this.#error,
      h('div', { class: 'dialog-actions' }, h('button', cancel, 'Cancel'), this.#submit),
    );
    this.#dialog = dialogView('Create a channel', { id: 'create-channel-title', class: 'with-people' }, this.#form);
    this.append(this.#dialog);
  }

  open() {
    const { core } = this;
    this.#form.reset();
    this.#form.elements.kind.value = 'open';
    this.#form.elements.history.checked = true;
    this.#form.elements.topic.maxLength = core.limits.topic_chars;
    this.#kinds.hidden = !core.hasMembership;
    this.#turned();
    this.#dialog.showModal();
    this.#form.elements.name.focus();
  }

  get #isPrivate() {
    return this.#form.elements.kind.value === 'private';
  }

  /** Shows what belongs to an open or to a private channel. */
  #turned() {
    const isPrivate = this.#isPrivate;
    const { name } = this.#form.elements;
    this.#private.hidden = !isPrivate;
    name.maxLength = isPrivate ? 80 : 64;
    name.placeholder = isPrivate ? 'Plans for spring' : 'rust';
    name.autocapitalize = isPrivate ? 'sentences' : 'none';
    if (isPrivate && this.#people.core !== this.core) this.#people.core = this.core;
    if (isPrivate) this.#people.reset({ label: 'Add people', excluded: [this.core.user.id], quiet: true });
    this.#fail('');
  }

  /** @returns {Parameters<import('../core/chat-core.js').ChatCore['createChannel']>[0]} */
  get #fields() {
    const { name, topic, history } = this.#form.elements;
    const about = topic.value.trim() && { topic: topic.value.trim() };
    if (!this.#isPrivate) return { name: name.value.trim(), ...about };
    return {
      kind: 'private',
      title: name.value.trim(),
      ...about,
      members: this.#people.chosen.map(({ id }) => id),
      history: history.checked ? 'all' : 'joined',
    };
  }

  async #submitted(event) {
    event.preventDefault();
    if (this.#taken) return this.#choose(this.#taken);
    const fields = this.#fields;
    const name = fields.title ?? fields.name ?? '';
    if (name === '') return this.#fail('A channel needs a name.');
    this.#submit.disabled = true;
    try {
      this.#choose((await this.core.createChannel(fields)).name);
    } catch (error) {
      this.#refused(error, name);
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
