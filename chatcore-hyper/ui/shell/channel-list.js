import { h, icon, setAttribute, setText } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';
import { bounded } from '../text/format.js';
import { KeyedList } from '../dom/keyed-list.js';
import { channelHash } from '../dom/route.js';
import { channelSign, isOnline } from '../views/channel-sign.js';

/**
 * `<chat-channels>`: the channels and the direct messages of the user, what is unread in them, and the current one.
 * Fires `create`, `browse` and `write`.
 */
export class ChannelList extends LiveElement {
  /** @type {?string} */
  #current = null;
  /** The rows of the channels, and those of the direct ones. @type {KeyedList<any>[]} */
  #rows;
  /** What there is only where the server knows who is a member of what. @type {HTMLElement[]} */
  #membership;

  /** @override */
  build() {
    const button = (name, label, sign) => {
      const fire = () => this.dispatchEvent(new Event(name));
      const props = { type: 'button', class: 'plain', 'aria-label': label, title: label, on: { click: fire } };
      return h('button', props, icon(sign));
    };
    const head = (title, ...buttons) => h('div', { class: 'section-head' }, h('h2', {}, title), ...buttons);
    const lists = [h('ul'), h('ul')];
    const browse = button('browse', 'Browse channels', 'list');
    const direct = head('Direct messages', button('write', 'New message', 'plus'));
    this.#membership = [browse, direct, lists[1]];
    this.append(head('Channels', browse, button('create', 'Create a channel', 'plus')), lists[0], direct, lists[1]);
    this.#rows = lists.map(
      (list) =>
        new KeyedList(list, {
          key: (item) => item.name,
          same: (one, other) => one.drawn === other.drawn,
          draw: (item, element) => draw(item, element, this.core.user),
        }),
    );
  }

  /** @override */
  listen(core, signal) {
    for (const event of ['channels', 'names', 'people']) core.on(event, () => this.render(), { signal });
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
      .flat()
      .filter((channel) => !unread || channel.isNoticed || channel.name === this.#current)
      .map(({ name }) => name);
    const at = names.indexOf(this.#current ?? '');
    const next = at < 0 ? (step > 0 ? 0 : names.length - 1) : (at + step + names.length) % names.length;
    return names[next] ?? null;
  }

  /** Those of the user, and the one that is open; the others are found by browsing. */
  get #listed() {
    const all = this.core.channels
      .filter((channel) => channel.createdAt && (channel.isListed || channel.name === this.#current))
      .sort((one, other) => one.title.localeCompare(other.title));
    return [all.filter(({ kind }) => kind !== 'direct'), all.filter(({ kind }) => kind === 'direct')];
  }

  render() {
    for (const element of this.#membership) element.hidden = !this.core.hasMembership;
    for (const [at, channels] of this.#listed.entries())
      this.#rows[at].show(channels.map((channel) => itemOf(channel, channel.name === this.#current)));
  }
}

/** @param {import('../core/channel.js').Channel} channel @param {boolean} current */
function itemOf(channel, current) {
  const { name, title, kind, unread, mentionCount, isMuted, isNoticed, others, archived } = channel;
  // All that is new in a direct channel is for the user.
  const mentions = isMuted ? 0 : kind === 'direct' ? unread : mentionCount;
  const drawn = JSON.stringify([
    title,
    kind,
    unread,
    mentions,
    isNoticed,
    isMuted,
    archived,
    others,
    isOnline(channel),
    current,
  ]);
  return { channel, name, title, kind, unread, mentions, isNoticed, isMuted, current, drawn };
}

/** @param {ReturnType<typeof itemOf>} item @param {any} element @param {import('../core/protocol.js').User} user @returns {Element} */
function draw(item, element, user) {
  const { channel, kind, mentions, isNoticed, isMuted } = item;
  const view = element ?? create(item.name);
  const link = view.firstElementChild;
  const [sign, name, said, unread, badge] = link.children;
  sign.replaceWith(channelSign(channel, user));
  setText(name, item.title);
  setAttribute(link, 'aria-current', item.current ? 'page' : null);
  link.classList.toggle('unread', isNoticed);
  link.classList.toggle('muted', isMuted || channel.archived);
  const count = bounded(item.unread, 999);
  unread.hidden = !isNoticed || kind === 'direct';
  setText(unread, count);
  badge.hidden = mentions === 0;
  setText(badge, `${kind === 'direct' ? '' : '@'}${bounded(mentions, 99)}`);
  setText(said, saidOf(item));
  return view;
}

/** What the signs and the figures beside a title say. */
function saidOf({ channel, kind, unread, mentions }) {
  const what = kind === 'private' ? ' (private)' : kind === 'direct' && isOnline(channel) ? ' (online)' : '';
  if (unread === 0) return what;
  const mentioned = `, ${bounded(mentions, 99)} ${mentions === 1 ? 'mention' : 'mentions'}`;
  return `${what} ${bounded(unread, 999)} unread${mentions > 0 && kind !== 'direct' ? mentioned : ''}`;
}

function create(name) {
  return h(
    'li',
    {},
    h(
      'a',
      { href: channelHash(name) },
      h('span'),
      h('bdi', { class: 'name' }),
      h('span', { class: 'visually-hidden' }),
      h('span', { class: 'count', 'aria-hidden': 'true' }),
      h('span', { class: 'badge', 'aria-hidden': 'true' }),
    ),
  );
}

customElements.define('chat-channels', ChannelList);
