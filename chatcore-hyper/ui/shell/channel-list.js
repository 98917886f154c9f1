import { h, icon, setAttribute, setText } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';
import { bounded } from '../text/format.js';
import { KeyedList } from '../dom/keyed-list.js';
import { channelHash } from '../dom/route.js';

/** `<chat-channels>`: all channels by name, what is unread in them, and the current one. Fires `create`. */
export class ChannelList extends LiveElement {
  /** @type {?string} */
  #current = null;
  #list;
  #rows;

  /** @override */
  build() {
    const create = () => this.dispatchEvent(new Event('create'));
    const button = {
      type: 'button',
      class: 'plain',
      'aria-label': 'Create a channel',
      title: 'Create a channel',
      on: { click: create },
    };
    this.#list = h('ul');
    this.append(
      h('div', { class: 'section-head' }, h('h2', {}, 'Channels'), h('button', button, icon('plus'))),
      this.#list,
    );
    this.#rows = new KeyedList(this.#list, {
      key: (item) => item.name,
      same: (one, other) =>
        one.unread === other.unread && one.mentions === other.mentions && one.current === other.current,
      draw: (item, element) => draw(item, element),
    });
  }

  /** @override */
  listen(core, signal) {
    core.on('channels', () => this.render(), { signal });
    this.render();
  }

  focus() {
    /** @type {?HTMLElement} */
    const wanted = this.querySelector('[aria-current]') ?? this.querySelector('a, button');
    wanted?.focus();
  }

  /** @param {?string} name */
  set current(name) {
    this.#current = name;
    this.render();
    this.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest' });
  }

  /**
   * The channel above or below the current one in the list, round its ends.
   * @param {1 | -1} step
   * @param {boolean} unread whether only channels with something unread count
   * @returns {?string}
   */
  neighbour(step, unread) {
    const names = this.#listed
      .filter((channel) => !unread || channel.unread > 0 || channel.name === this.#current)
      .map(({ name }) => name);
    const at = names.indexOf(this.#current ?? '');
    const next = at < 0 ? (step > 0 ? 0 : names.length - 1) : (at + step + names.length) % names.length;
    return names[next] ?? null;
  }

  get #listed() {
    return this.core.channels.filter((channel) => channel.createdAt);
  }

  render() {
    this.#rows.show(
      this.#listed.map(({ name, unread, mentions }) => ({
        name,
        unread,
        mentions: mentions.length,
        current: name === this.#current,
      })),
    );
  }
}

/** @param {{name: string, unread: number, mentions: number, current: boolean}} item @param {any} element @returns {Element} */
function draw(item, element) {
  const view = element ?? create(item.name);
  const link = view.firstElementChild;
  const [, , said, unread, badge] = link.children;
  setAttribute(link, 'aria-current', item.current ? 'page' : null);
  link.classList.toggle('unread', item.unread > 0);
  const count = bounded(item.unread, 999);
  unread.hidden = item.unread === 0;
  setText(unread, count);
  badge.hidden = item.mentions === 0;
  setText(badge, `@${bounded(item.mentions, 99)}`);
  const mentioned =
    item.mentions > 0 ? `, ${bounded(item.mentions, 99)} ${item.mentions === 1 ? 'mention' : 'mentions'}` : '';
  setText(said, item.unread > 0 ? ` ${count} unread${mentioned}` : '');
  return view;
}

function create(name) {
  const sign = h('span', { class: 'sign', 'aria-hidden': 'true' }, '#');
  return h(
    'li',
    {},
    h(
      'a',
      { href: channelHash(name) },
      sign,
      h('bdi', { class: 'name' }, name),
      h('span', { class: 'visually-hidden' }),
      h('span', { class: 'count', 'aria-hidden': 'true' }),
      h('span', { class: 'badge', 'aria-hidden': 'true' }),
    ),
  );
}

customElements.define('chat-channels', ChannelList);
