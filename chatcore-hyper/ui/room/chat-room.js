import '../views/announcer.js';
import '../views/banner.js';
import '../composer/composer.js';
import '../timeline/timeline.js';
import { BASE } from '../base.js';
import { MAX_LISTED } from '../core/channel.js';
import { channelKey } from '../text/channel-key.js';
import { h, setText } from '../dom/dom.js';
import { Drafts } from '../core/drafts.js';
import { acceptDrops } from '../composer/drops.js';
import { bounded, typingText } from '../text/format.js';
import { shareCore } from '../core/shared-core.js';
import { pageStorage } from '../core/storage.js';

/** How long a short word stays. */
const WORD_MS = 6000;

/** @typedef {'connecting' | 'online' | 'offline' | 'signed-out' | 'refused'} RoomStatus */

/**
 * `<chat-room server="/chat" channel="general">`: one channel in a page of the embedding app, with its style to itself.
 *
 * Fires, bubbling and composed: `chat-send` ({channel, text, nonce}), `chat-unread` ({channel, unread, mentions}),
 * `chat-status` ({status}).
 */
export class ChatRoom extends HTMLElement {
  static observedAttributes = ['channel', 'server'];

  /** The client (`ChatCore`) that this room shares with others of the page; null while it is in no document. @type {any} */
  core = null;
  /** @type {RoomStatus} */
  status = 'connecting';
  unread = 0;
  mentions = 0;
  #parts;
  /** @type {?Drafts} */
  #drafts = null;
  /** The channel that the parts show. @type {?string} */
  #shown = null;
  #gone = new AbortController();
  /** The server of `core`. */
  #at = '';
  /** Whether the style is there. */
  #styled = false;

  get channel() {
    const name = this.getAttribute('channel')?.trim();
    return name ? (this.core?.key(name) ?? channelKey(name)) : null;
  }

  set channel(name) {
    this.setAttribute('channel', name ?? '');
  }

  get server() {
    return new URL(this.getAttribute('server') ?? '/chat', this.baseURI).href.replace(/\/+$/u, '');
  }

  set server(address) {
    this.setAttribute('server', address);
  }

  connectedCallback() {
    for (const name of ChatRoom.observedAttributes) this.#upgrade(name);
    if (this.core && this.server === this.#at) return;
    this.#end();
    this.#begin();
  }

  disconnectedCallback() {
    // A room that is put elsewhere in the page is the same one, though its style is loaded anew.
    this.#style(false);
    queueMicrotask(() => this.isConnected || this.#end());
  }

  /** Moved by `moveBefore`, it keeps all that it has. */
  connectedMoveCallback() {}

  /** A property that the page set before this class was defined hides the accessor. @param {string} name */
  #upgrade(name) {
    if (!Object.hasOwn(this, name)) return;
    const value = this[name];
    delete this[name];
    this[name] = value;
  }

  #begin() {
    this.#gone = new AbortController();
    const { signal } = this.#gone;
    this.#at = this.server;
    this.core = shareCore(this.#at, signal);
    this.status = 'connecting';
    this.#drafts = null;
    this.#shown = null;
    this.#build();
    this.core.on('state', () => this.#stateChanged(), { signal });
    this.core.on('ready', () => this.#enter(), { signal });
    this.core.on('replaced', () => this.#restart(), { signal });
    const sight = new IntersectionObserver(([{ isIntersecting }]) => (this.#parts.timeline.inSight = isIntersecting));
    sight.observe(this);
    signal.addEventListener('abort', () => sight.disconnect());
    if (this.core.connection.phase === 'open') this.#enter();
    this.#stateChanged();
  }

  #end() {
    if (!this.core) return;
    if (this.#shown !== null) this.core.leave(this.#shown);
    this.#gone.abort();
    this.#parts.frame.remove();
    this.core = null;
  }

  attributeChangedCallback(name, before, after) {
    if (!this.core || before === after) return;
    if (name === 'server') this.connectedCallback();
    else if (this.#drafts) this.#show();
    else this.#showNotice();
  }

  focus() {
    this.#parts?.composer.focus();
  }

  #restart() {
    this.#end();
    this.#begin();
  }

  /** Without its style a room has its box and shows nothing. @param {boolean} styled */
  #style(styled) {
    this.#styled = styled;
    this.#parts.frame.hidden = !styled;
  }

  #build() {
    /** @returns {any} */
    const part = (name) => Object.assign(document.createElement(`chat-${name}`), { part: name });
    const root = this.shadowRoot ?? this.#root();
    const title = h('bdi');
    const topic = h('p', { class: 'topic', dir: 'auto' });
    const people = h('p', { class: 'room-people' });
    const typing = h('p', { class: 'typing', part: 'typing' });
    const words = h('p');
    const again = h(
      'button',
      { type: 'button', class: 'primary', on: { click: () => this.core?.connection.retryNow() } },
      'Try again',
    );
    const notice = h('div', { class: 'room-notice', role: 'status' }, words, again);
    const [banner, timeline, composer, announcer] = ['banner', 'timeline', 'composer', 'announcer'].map(part);
    const frame = h(
      'section',
      { class: 'room', part: 'room' },
      h(
        'header',
        { class: 'pane-head', part: 'header' },
        h(
          'div',
          { class: 'pane-title' },
          h('h2', {}, h('span', { class: 'sign', 'aria-hidden': 'true' }, '#'), title),
          topic,
        ),
        people,
      ),
      banner,
      h('div', { class: 'pane-main' }, timeline, h('div', { class: 'pane-foot' }, composer, typing), notice),
      announcer,
    );
    this.#parts = { frame, title, topic, people, typing, words, again, notice, banner, timeline, composer, announcer };
    root.append(frame);
    frame.hidden = !this.#styled;
    acceptDrops(frame, composer);
    banner.core = this.core;
    this.#listen();
  }

  #root() {
    const root = this.attachShadow({ mode: 'open' });
    const box = new CSSStyleSheet();
    box.replaceSync(':host { display: block; height: 480px } :host([hidden]) { display: none }');
    root.adoptedStyleSheets = [box];
    const shown = () => this.#style(true);
    root.append(
      h('link', { rel: 'stylesheet', href: new URL('chat.css', BASE).href, on: { load: shown, error: shown } }),
    );
    return root;
  }

  #listen() {
    const { frame, timeline, composer } = this.#parts;
    timeline.linked = false;
    timeline.inSight = false;
    timeline.addEventListener('seen', ({ detail }) => this.core.markRead(this.#shown, detail));
    timeline.addEventListener('composer', () => composer.focus());
    timeline.addEventListener('notice', ({ detail }) => this.#say(detail));
    timeline.addEventListener('reply', ({ detail }) => composer.reply(detail));
    timeline.addEventListener('edit', ({ detail }) => composer.edit(detail));
    composer.addEventListener('remove', ({ detail }) => timeline.removeMessage(detail));
    composer.addEventListener('sent', ({ detail: { channel, text, nonce } }) => {
      timeline.toEnd();
      this.#tell('send', { channel, text, nonce });
    });
    // The page's address is not the room's: a quote leads to its message here.
    frame.addEventListener('click', (event) => {
      const quote = event.target.closest('.quote');
      if (!quote) return;
      event.preventDefault();
      timeline.showMessage(Number(quote.hash.split('/').at(-1)));
    });
    frame.addEventListener('keydown', (event) => {
      if (event.key !== 'F6' || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      (timeline.contains(event.target) ? composer : timeline).focus();
    });
    // The page sees the room as what has the focus, not a field, and would take what is typed for its shortcuts.
    frame.addEventListener(
      'keydown',
      (event) => event.key.length === 1 && !event.ctrlKey && !event.metaKey && event.stopPropagation(),
    );
  }

  /** The server has said who this is: now everything can be shown. */
  #enter() {
    if (this.#drafts) return;
    const { core } = this;
    const { timeline, composer, announcer } = this.#parts;
    this.#drafts = new Drafts(pageStorage(), core.user.id);
    timeline.core = core;
    announcer.core = core;
    Object.assign(composer, { drafts: this.#drafts, base: this.server, core });
    const own =
      (act) =>
      ({ name }) =>
        name === this.#shown && act();
    const { signal } = this.#gone;
    const on = (event, listener) => core.on(event, listener, { signal });
    on('kept', ({ name }) => this.#drafts?.kept(name));
    addEventListener('storage', (event) => this.#drafts?.heard(event), { signal });
    on(
      'renamed',
      own(() => this.#show()),
    );
    for (const event of ['log', 'people'])
      on(
        event,
        own(() => this.#showHead()),
      );
    on('channels', () => this.#showHead());
    this.#show();
  }

  #show() {
    const { core, channel } = this;
    const { timeline, composer, announcer } = this.#parts;
    if (this.#shown !== null) core.leave(this.#shown);
    this.#shown = channel;
    this.unread = this.mentions = 0;
    if (channel !== null) core.open(channel);
    announcer.channel = channel;
    timeline.show(channel);
    composer.channel = channel;
    this.#showHead();
    this.#showNotice();
  }

  #showHead() {
    const { frame, topic, people, typing, composer } = this.#parts;
    const { core } = this;
    const name = this.#shown;
    const channel = name === null ? undefined : core.channel(name);
    const missing = name !== null && core.isMissing(name);
    const count = channel?.members.size ?? 0;
    frame.setAttribute('aria-label', name === null ? 'Chat' : `Chat in ${name}`);
    setText(topic, channel?.topic ?? '');
    setText(people, count > 0 ? `${bounded(count, MAX_LISTED - 1)} online` : '');
    setText(typing, typingText([...(channel?.typing.values() ?? [])].map(({ user }) => user.name)));
    composer.hidden = name === null || missing;
    this.#count(channel);
  }

  #count(channel) {
    const unread = channel?.unread ?? 0;
    const mentions = channel?.mentions.length ?? 0;
    if (unread === this.unread && mentions === this.mentions) return;
    this.unread = unread;
    this.mentions = mentions;
    this.#tell('unread', { channel: this.#shown, unread, mentions });
  }

  #stateChanged() {
    const before = this.status;
    this.status = statusOf(this.core.connection, before);
    this.#showNotice();
    if (before !== this.status) this.#tell('status', { status: this.status });
  }

  /** Says why there is nothing to read and write. */
  #showNotice() {
    const { notice, words, again, frame, title } = this.#parts;
    setText(title, this.channel ?? '');
    const shut = this.status === 'signed-out' || this.status === 'refused';
    const { refusal } = this.core.connection;
    const said = refusal ? `The chat’s server refuses this page: ${refusal}.` : NOTICES[this.status];
    const text = !shut && this.channel === null ? 'This room names no channel.' : shut || !this.#drafts ? said : '';
    notice.hidden = text === '';
    frame.classList.toggle('shut', text !== '');
    again.hidden = !shut;
    setText(words, text);
  }

  #say(text) {
    const toast = h('p', { class: 'toast', role: 'alert' }, text);
    this.#parts.frame.append(toast);
    setTimeout(() => toast.remove(), WORD_MS);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(`chat-${name}`, { detail, bubbles: true, composed: true }));
  }
}

/** @type {Record<RoomStatus, string>} */
const NOTICES = {
  connecting: 'Connecting…',
  online: '',
  offline: 'The chat does not answer. It tries again by itself.',
  'signed-out': 'You are not signed in. Sign in to read and write here.',
  refused: 'You can no longer use this chat.',
};

/** @param {import('../core/connection.js').Connection} connection @param {RoomStatus} before @returns {RoomStatus} */
function statusOf({ phase, closeCode, refusal }, before) {
  if (phase === 'open') return 'online';
  if (phase === 'closed') return closeCode === 4100 ? 'signed-out' : 'refused';
  if (refusal) return 'refused';
  return phase === 'waiting' || before === 'offline' || before === 'online' ? 'offline' : 'connecting';
}

customElements.define('chat-room', ChatRoom);
