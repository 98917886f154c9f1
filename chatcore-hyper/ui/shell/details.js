import './details-people.js';
import { h, setText } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';
import { attempt, dialogView } from '../views/dialog.js';

/** What one may be told of, and how it is called. @type {[import('../core/protocol.js').Notify, string][]} */
const LEVELS = [
  ['all', 'Everything new'],
  ['mentions', 'Mentions only'],
  ['none', 'Nothing'],
];

/** `<chat-details>`: what a channel is called, who is in it, and what one can do with it. */
export class Details extends LiveElement {
  /** @type {?string} */
  #name = null;
  #dialog;
  #title;
  #form;
  #saving;
  #about;
  #level;
  /** @type {any} */
  #people;
  #error;
  #actions;
  #ask;

  /** @override */
  build() {
    this.#error = h('p', { class: 'field-error', role: 'alert' });
    const save = h('button', { type: 'submit', class: 'primary' }, 'Save');
    this.#saving = h('div', { class: 'dialog-actions' }, save);
    this.#form = h(
      'form',
      { novalidate: true, on: { submit: (event) => this.#save(event, save), input: () => this.#offerSave() } },
      h('label', {}, 'Title', h('input', { name: 'title', maxlength: '80', autocomplete: 'off', dir: 'auto' })),
      h('label', {}, 'Topic', h('input', { name: 'topic', autocomplete: 'off', dir: 'auto' })),
      this.#saving,
    );
    this.#about = h('p', { class: 'details-topic', dir: 'auto' });
    this.#level = h(
      'select',
      {
        on: { change: () => this.#do(this.#level, (name) => this.core.membership.setNotify(name, this.#level.value)) },
      },
      ...LEVELS.map(([value, label]) => h('option', { value }, label)),
    );
    this.#people = document.createElement('chat-details-people');
    this.#people.addEventListener('ask', ({ detail }) => this.#confirm(detail));
    this.#actions = h('div', { class: 'dialog-actions' });
    this.#ask = h('div', { class: 'ask', hidden: true, role: 'alert' });
    this.#dialog = dialogView(
      '',
      { id: 'details-title', class: 'details' },
      this.#about,
      this.#form,
      h('label', { class: 'level' }, 'Notify me of', this.#level),
      this.#people,
      this.#error,
      this.#ask,
      this.#actions,
    );
    this.#title = /** @type {Element} */ (this.#dialog.querySelector('h2'));
    this.#dialog.addEventListener('close', () => this.#people.leave());
    this.append(this.#dialog);
  }

  /** @override */
  listen(core, signal) {
    const isShown = (name) => this.#dialog.open && name === this.#name;
    core.on('channels', () => this.#dialog.open && this.render(), { signal });
    core.on('removed', ({ name }) => isShown(name) && this.#dialog.close(), { signal });
  }

  /** @param {string} name */
  open(name) {
    this.#name = name;
    const { title, topic } = this.#form.elements;
    const channel = this.core.channel(name);
    title.value = channel?.title ?? '';
    topic.value = channel?.topic ?? '';
    topic.maxLength = this.core.limits.topic_chars;
    setText(this.#error, '');
    this.#askNothing();
    this.render();
    this.#dialog.showModal();
    this.#people.core = this.core;
    this.#people.open(name);
  }

  render() {
    const channel = this.core.channel(this.#name ?? '');
    if (!channel) return;
    const { kind, topic, isOwner, isJoined, archived, notify } = channel;
    const owns = isOwner && kind !== 'direct';
    setText(this.#title, channel.label);
    this.#form.hidden = !owns || archived;
    this.#about.hidden = owns && !archived;
    setText(this.#about, archived ? 'This channel is archived: it can be read, but nobody can write in it.' : topic);
    this.#offerSave();
    this.#level.value = notify;
    /** @type {HTMLElement} */ (this.#level.parentElement).hidden = !isJoined;
    const button = (label, act, style = 'quiet') =>
      h('button', { type: 'button', class: style, on: { click: ({ currentTarget }) => act(currentTarget) } }, label);
    const { membership } = this.core;
    const archive = (to) => (name) => membership.update(name, { archived: to });
    const buttons = [
      owns && archived ? button('Restore', (from) => this.#do(from, archive(false)), 'primary') : null,
      owns && !archived
        ? button('Archive', () =>
            this.#confirm({
              question: 'Archive this channel? Everybody can still read it, but nobody can write in it.',
              answer: 'Archive it',
              act: archive(true),
            }),
          )
        : null,
      kind === 'private' || (kind === 'open' && isJoined)
        ? button('Leave', (from) => this.#leave(from, kind), 'quiet danger')
        : null,
    ];
    this.#actions.replaceChildren(...buttons.filter((one) => one !== null));
  }

  #leave(button, kind) {
    const act = async (name) => {
      await this.core.membership.leave(name);
      this.#dialog.close();
      this.dispatchEvent(new CustomEvent('left', { detail: name }));
    };
    if (kind === 'open') return this.#do(button, act);
    return this.#confirm({
      question: 'Leave this channel? You can read it again only if an owner adds you.',
      answer: 'Leave it',
      act,
    });
  }

  /** What would be saved. */
  get #changes() {
    const { title, topic } = this.#form.elements;
    const { title: before, topic: about } = this.core.channel(this.#name ?? '') ?? {};
    return {
      ...(title.value.trim() !== before && { title: title.value.trim() }),
      ...(topic.value.trim() !== about && { topic: topic.value.trim() }),
    };
  }

  #offerSave() {
    this.#saving.hidden = Object.keys(this.#changes).length === 0;
  }

  #save(event, button) {
    event.preventDefault();
    const fields = this.#changes;
    if (Object.keys(fields).length > 0) this.#do(button, (name) => this.core.membership.update(name, fields));
  }

  /** Asks before something that others notice, or that can't be taken back. @param {{question: string, answer: string, act: (name: string) => Promise<void>}} what */
  #confirm({ question, answer, act }) {
    const before = /** @type {?HTMLElement} */ (document.activeElement);
    const yes = h(
      'button',
      {
        type: 'button',
        class: 'primary danger',
        on: {
          click: async () => {
            await this.#do(yes, act);
            this.#askNothing();
          },
        },
      },
      answer,
    );
    const cancel = () => {
      this.#askNothing();
      before?.focus();
    };
    const no = h('button', { type: 'button', class: 'quiet', on: { click: cancel } }, 'Cancel');
    this.#ask.replaceChildren(h('p', {}, question), h('div', { class: 'dialog-actions' }, no, yes));
    this.#ask.hidden = false;
    this.#actions.hidden = true;
    this.#ask.scrollIntoView({ block: 'nearest' });
    yes.focus();
  }

  #askNothing() {
    this.#ask.hidden = true;
    this.#actions.hidden = false;
  }

  #do(button, act) {
    return attempt(button, this.#error, () => act(/** @type {string} */ (this.#name)));
  }
}

customElements.define('chat-details', Details);
