import { BASE } from '../base.js';
import { MAX_LISTED } from '../core/channel.js';
import { Conversation } from '../conversation/conversation.js';
import { channelKey } from '../text/channel-key.js';
import { around, h, setText } from '../dom/dom.js';
import { Drafts } from '../core/drafts.js';
import { bounded } from '../text/format.js';
import { shareCore } from '../core/shared-core.js';
import { pageStorage } from '../core/storage.js';

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
  /** Made anew with each client. @type {Conversation} */
  #conversation;
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

  /** Moved by `moveBefore`, it keeps all that it has. But some browsers load its style anew, so it is not shown meanwhile. */
  connectedMoveCallback() {
    if (this.#parts.frame.offsetHeight === this.offsetHeight) return;
    this.#style(false);
    /** @type {any} */
    const root = this.shadowRoot;
    root.prepend(root.firstElementChild);
  }

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
    this.#build();
    this.core.on('state', () => this.#stateChanged(), { signal });
    this.core.on('ready', () => this.#enter(), { signal });
    this.core.on('replaced', () => this.#restart(), { signal });
    const sight = new IntersectionObserver(
      ([{ isIntersecting }]) => (this.#conversation.timeline.inSight = isIntersecting),
    );
    sight.observe(this);
    signal.addEventListener('abort', () => sight.disconnect());
    if (this.core.connection.phase === 'open') this.#enter();
    this.#stateChanged();
  }

  #end() {
    if (!this.core) return;
    this.#conversation.leave();
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
    this.#conversation?.composer.focus();
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
    const root = this.shadowRoot ?? this.#root();
    const conversation = new Conversation();
    const people = h('p', { class: 'room-people' });
    const words = h('p');
    const again = h(
      'button',
      { type: 'button', class: 'primary', on: { click: () => this.core?.connection.retryNow() } },
      'Try again',
    );
    const notice = h('div', { class: 'room-notice', role: 'status' }, words, again);
    const frame = h(
      'section',
      { class: 'room', part: 'room' },
      h('header', { class: 'pane-head', part: 'header' }, conversation.heading('h2'), people),
      conversation.banner,
      conversation.body(notice),
      conversation.announcer,
    );
    this.#conversation = conversation;
    this.#parts = { frame, people, words, again, notice };
    root.append(frame);
    frame.hidden = !this.#styled;
    conversation.join(frame);
    conversation.banner.core = this.core;
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
    const { frame } = this.#parts;
    const { timeline, composer } = this.#conversation;
    timeline.linked = false;
    timeline.inSight = false;
    composer.addEventListener('sent', ({ detail: { channel, text, nonce } }) =>
      this.#tell('send', { channel, text, nonce }),
    );
    // The page's address is not the room's: a quote leads to its message here.
    frame.addEventListener('click', (event) => {
      const quote = around(event, '.quote');
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
    const { signal } = this.#gone;
    this.#drafts = new Drafts(pageStorage(), core.user.id);
    this.#conversation.begin(core, { drafts: this.#drafts, base: this.server, signal });
    const isHere = ({ name }) => name === this.#conversation.channel;
    core.on('renamed', (event) => isHere(event) && this.#show(), { signal });
    for (const name of ['log', 'people']) core.on(name, (event) => isHere(event) && this.#showHead(), { signal });
    core.on('channels', () => this.#showHead(), { signal });
    this.#show();
  }

  #show() {
    this.unread = this.mentions = 0;
    this.#conversation.show(this.channel);
    this.#showHead();
    this.#showNotice();
  }

  #showHead() {
    const { frame, people } = this.#parts;
    const name = this.#conversation.channel;
    const { channel } = this.#conversation.update();
    const count = channel?.members.size ?? 0;
    frame.setAttribute('aria-label', name === null ? 'Chat' : `Chat in ${channel?.title ?? name}`);
    setText(people, count > 0 ? `${bounded(count, MAX_LISTED - 1)} online` : '');
    this.#count(channel);
  }

  #count(channel) {
    const unread = channel?.unread ?? 0;
    const mentions = channel?.mentionCount ?? 0;
    if (unread === this.unread && mentions === this.mentions) return;
    this.unread = unread;
    this.mentions = mentions;
    this.#tell('unread', { channel: this.#conversation.channel, unread, mentions });
  }

  #stateChanged() {
    const before = this.status;
    this.status = statusOf(this.core.connection, before);
    this.#showNotice();
    if (before !== this.status) this.#tell('status', { status: this.status });
  }

  /** Says why there is nothing to read and write. */
  #showNotice() {
    const { notice, words, again, frame } = this.#parts;
    setText(this.#conversation.title, this.channel ?? '');
    const shut = this.status === 'signed-out' || this.status === 'refused';
    const { refusal } = this.core.connection;
    const said = refusal ? `The chat’s server refuses this page: ${refusal}.` : NOTICES[this.status];
    const text = !shut && this.channel === null ? 'This room has no channel.' : shut || !this.#drafts ? said : '';
    notice.hidden = text === '';
    frame.classList.toggle('shut', text !== '');
    again.hidden = !shut;
    setText(words, text);
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
