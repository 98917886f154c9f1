import { reasonOf } from './create-channel.js';
import { h, icon, setAttribute, setText } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';
import { isComposed } from '../dom/field.js';
import { bounded } from '../text/format.js';
import { avatar } from '../views/avatar.js';
import { channelSign } from '../views/channel-sign.js';
import { asName, OFFERED, rank } from '../text/ranking.js';

/** The most people that are offered, and how long somebody may go on typing before the server is asked for them. */
const MOST_PEOPLE = 8;
const PAUSE_MS = 120;

/** `<chat-switcher>`: goes to a channel or a person by a few letters of the name, or creates a channel. Fires `chosen` with its name. */
export class Switcher extends LiveElement {
  /** The channels that the user was in. @type {import('../core/recent.js').Recent} */
  recent;
  /** @type {?string} */
  #current = null;
  #dialog;
  #field;
  #list;
  #error;
  #rest;
  /** What each option does. @type {(() => Promise<string>)[]} */
  #options = [];
  /** People with such a name. @type {import('../core/protocol.js').User[]} */
  #people = [];
  /** @type {any} */
  #timer = null;
  #at = 0;

  /** @override */
  build() {
    this.#list = h('ul', {
      id: 'switcher-list',
      role: 'listbox',
      'aria-label': 'Channels and people',
      on: { click: (event) => this.#clicked(event) },
    });
    this.#field = h('input', {
      role: 'combobox',
      'aria-expanded': 'true',
      'aria-controls': 'switcher-list',
      'aria-autocomplete': 'list',
      'aria-label': 'Go to a channel or a person',
      placeholder: 'Go to a channel or a person',
      autocomplete: 'off',
      autocapitalize: 'none',
      spellcheck: 'false',
      maxlength: '64',
      dir: 'auto',
      on: { input: () => this.#search(), keydown: (event) => this.#pressed(event) },
    });
    this.#error = h('p', { class: 'field-error', role: 'alert' });
    this.#rest = h(
      'p',
      { class: 'hint rest', role: 'status' },
      `The first ${OFFERED} channels are shown. Type more of the name to find others.`,
    );
    const close = { type: 'button', class: 'plain', 'aria-label': 'Close', on: { click: () => this.#dialog.close() } };
    const line = h('div', { class: 'finder-line' }, icon('search'), this.#field, h('button', close, icon('close')));
    this.#dialog = h(
      'dialog',
      { class: 'finder', 'aria-label': 'Go to a channel or a person' },
      line,
      this.#error,
      this.#list,
      this.#rest,
    );
    this.append(this.#dialog);
  }

  /** @override */
  listen(core, signal) {
    core.on('channels', () => this.#dialog.open && this.#render(), { signal });
  }

  /** @param {?string} current the channel that is open */
  open(current) {
    if (this.#dialog.open) return this.#dialog.close();
    this.#current = current;
    this.#field.value = '';
    this.#dialog.showModal();
    this.#field.focus();
    this.#search();
    return undefined;
  }

  #search() {
    this.#at = 0;
    setText(this.#error, '');
    this.#people = [];
    this.#render();
    this.#list.scrollTop = 0;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#findPeople(this.#field.value.trim()), PAUSE_MS);
  }

  async #findPeople(query) {
    if (query === '' || query.startsWith('#') || !this.core.hasMembership) return;
    const found = await this.core.membership.users({ query, limit: MOST_PEOPLE }).catch(() => ({ users: [] }));
    if (!this.#dialog.open || query !== this.#field.value.trim()) return;
    this.#people = found.users.filter(({ id }) => id !== this.core.user.id);
    this.#render();
  }

  /** Those with whom there is no direct channel yet. */
  get #strangers() {
    const known = this.core.channels.filter(({ kind, others }) => kind === 'direct' && others.length === 1);
    const ids = new Set(known.map(({ others }) => others[0].id));
    return this.#people.filter(({ id }) => !ids.has(id));
  }

  #render() {
    const query = asName(this.#field.value);
    const channels = this.core.channels.filter((channel) => channel.createdAt);
    const found = rank(channels, query, { recent: this.recent.names, current: this.#current }, OFFERED + 1);
    this.#rest.hidden = found.splice(OFFERED).length === 0;
    this.#options = found.map(
      ({ name }) =>
        async () =>
          name,
    );
    const views = found.map((channel) => channelView(channel, this.core.user));
    for (const user of this.#strangers) {
      this.#options.push(() => this.core.membership.openDirect([user.id]));
      views.push(h('li', {}, avatar(user), h('bdi', { class: 'name' }, user.name)));
    }
    if (query !== '' && !this.core.channel(query)?.createdAt) {
      this.#options.push(async () => (await this.core.createChannel({ name: query })).name);
      views.push(h('li', {}, icon('plus'), h('span', { class: 'name' }, 'Create ', h('bdi', {}, `#${query}`))));
    }
    for (const [at, view] of views.entries()) {
      view.id = `switcher-${at}`;
      view.setAttribute('role', 'option');
    }
    this.#list.replaceChildren(...views);
    this.#select(Math.min(this.#at, views.length - 1));
  }

  #select(at) {
    this.#at = Math.max(0, at);
    for (const [index, view] of [...this.#list.children].entries())
      view.setAttribute('aria-selected', String(index === this.#at));
    this.#list.children[this.#at]?.scrollIntoView({ block: 'nearest' });
    setAttribute(this.#field, 'aria-activedescendant', this.#options.length > 0 ? `switcher-${this.#at}` : null);
  }

  #pressed(event) {
    if (isComposed(event)) return;
    const count = this.#options.length;
    if (event.key === 'ArrowDown') this.#select((this.#at + 1) % count);
    else if (event.key === 'ArrowUp') this.#select((this.#at - 1 + count) % count);
    else if (event.key === 'Enter') this.#choose(this.#at);
    else return;
    event.preventDefault();
  }

  #clicked({ target }) {
    const at = [...this.#list.children].indexOf(target.closest('li'));
    if (at >= 0) this.#choose(at);
  }

  async #choose(at) {
    if (!this.#options[at]) return;
    try {
      const name = await this.#options[at]();
      this.#dialog.close();
      this.dispatchEvent(new CustomEvent('chosen', { detail: name }));
    } catch (error) {
      setText(this.#error, reasonOf(error));
    }
  }
}

function channelView(channel, user) {
  const { title, topic, kind, unread, mentionCount } = channel;
  const mentions = kind === 'direct' ? 0 : mentionCount;
  return h(
    'li',
    { class: unread > 0 ? 'unread' : null },
    channelSign(channel, user),
    h('bdi', { class: 'name' }, title),
    topic ? h('bdi', { class: 'topic' }, topic) : null,
    unread > 0 ? h('span', { class: 'count' }, `${bounded(unread, 999)} unread`) : null,
    mentions > 0 ? h('span', { class: 'badge' }, `@${bounded(mentions, 99)}`) : null,
  );
}

customElements.define('chat-switcher', Switcher);
