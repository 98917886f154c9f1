import { avatar } from '../views/avatar.js';
import { MAX_LISTED } from '../core/channel.js';
import { h, setText } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';
import { bounded } from '../text/format.js';
import { KeyedList } from '../dom/keyed-list.js';

/** `<chat-members>`: who is online in the channel. */
export class Members extends LiveElement {
  /** @type {?string} */
  #channel = null;
  #rows;
  #count;

  /** @override */
  build() {
    const listed = h('ul');
    this.#count = h('span', { class: 'count' });
    this.append(h('div', { class: 'section-head' }, h('h2', {}, 'Online ', this.#count)), listed);
    this.#rows = new KeyedList(listed, {
      key: (user) => user.id,
      same: (one, other) => one === other,
      draw: (user) => this.#draw(user),
    });
  }

  /** @override */
  listen(core, signal) {
    core.on('names', () => this.render(), { signal });
    core.on('people', ({ name }) => name === this.#channel && this.render(), { signal });
    this.render();
  }

  /** @param {?string} name */
  set channel(name) {
    this.#channel = name;
    this.render();
  }

  render() {
    const members = this.core.channel(this.#channel ?? '')?.members.values() ?? [];
    const online = [...members].map((user) => this.core.names.of(user));
    setText(this.#count, online.length > 0 ? bounded(online.length, MAX_LISTED - 1) : '');
    this.#rows.show(online.sort((one, other) => one.name.localeCompare(other.name)));
  }

  #draw(user) {
    const own = user.id === this.core.user.id ? h('span', { class: 'hint' }, 'you') : null;
    return h('li', {}, avatar(user), h('bdi', { class: 'name' }, user.name), own);
  }
}

customElements.define('chat-members', Members);
