import { isGenerated } from '../text/channel-key.js';
import { Changes } from './changes.js';
import { Channel } from './channel.js';
import { Channels } from './channels.js';
import { Connection, systemClock } from './connection.js';
import { Counts } from './counts.js';
import { Deletions } from './deletions.js';
import { Emitter } from './emitter.js';
import { MAX_WAITING, Outbox } from './outbox.js';
import { Membership } from './membership.js';
import { Pages } from './pages.js';
import { Names } from './people.js';
import { afterClose, ChatError, DEFAULT_LIMITS, readUser } from './protocol.js';
import { ReadMarker } from './read-marker.js';
import { Retries } from './retries.js';
import { searchMessages } from './search.js';
import { Typing } from './typing.js';
import { Updates } from './updates.js';

export { ChatError } from './protocol.js';

/** The most channels followed in the background, for their unread counts. */
export const MAX_FOLLOWED = 200;

/** How often the server is asked for the counts of channels that are not followed, and how much more rarely for each channel in the list. */
const COUNT_EVERY_MS = 10_000;
const COUNT_MORE_MS = 20;

/** Who the user is as long as the server has not said it. @type {import('./protocol.js').User} */
const NOBODY = { id: '', name: '' };

/**
 * A chat client without a screen: it keeps the connection, the channels and what is on its way out, and says what changed.
 *
 * Events: `state` (the connection's phase), `ready` (welcomed), `closed` ({code}), `channels` (the list or its counts),
 * `log` ({name}: messages, outbox or history of a channel), `people` ({name}: members or typing),
 * `message` ({name, message, mention}: a new one by somebody else, told once), `kept` ({name}: what was sent there can't be lost),
 * `renamed` ({name, key}: what was opened as `name` is the channel `key`),
 * `unread` ({name, seq}: the message and what comes after it is unread again),
 * `removed` ({name, label, isSaid}: the right to read a channel that was in the list has ended; `isSaid`: against the user's will),
 * `added` ({name}: somebody made this user a member of the channel), `names` (people are called otherwise),
 * `volatile` (what is not sent yet will not outlive the page; told once),
 * `replaced` (the server takes this client for somebody else now: it has stopped, and sent nothing in their name).
 */
export class ChatCore extends Emitter {
  /** @type {Channels} */
  #channels;
  /** @type {Typing} */
  #typing;
  /** @type {Updates} */
  #updates;
  /** Channels that were looked for among the archived ones. @type {Set<string>} */
  #lookedFor = new Set();
  #request = (type, fields) => this.connection.request(type, fields);
  names = new Names();
  /** Whether the list of channels is known. */
  listed = false;
  limits = DEFAULT_LIMITS;

  /**
   * @param {{url: string, user?: import('./protocol.js').User, WebSocket?: any, clock?: import('./connection.js').Clock,
   *   random?: () => number, openOutbox?: (userId: string) => import('./outbox.js').OutboxStore, newNonce?: () => string,
   *   storage?: ?Storage, checkIdentity?: () => Promise<boolean | string>, maxFollowed?: number}} options
   *   Without a `user`, who it is comes with the server's welcome. `openOutbox` is called once the user is known.
   *   `storage` keeps what the user has deleted until the server knows it.
   */
  constructor({
    url,
    user = NOBODY,
    WebSocket = globalThis.WebSocket,
    clock = systemClock,
    random = Math.random,
    openOutbox,
    newNonce = randomNonce,
    storage = null,
    checkIdentity,
    maxFollowed = MAX_FOLLOWED,
  }) {
    super();
    this.user = user;
    this.clock = clock;
    this.newNonce = newNonce;
    this.openOutbox = openOutbox;
    this.storage = storage;
    this.connection = new Connection({ url, WebSocket, clock, random, checkIdentity });
    this.connection.on('state', () => this.#stateChanged());
    this.connection.on('welcome', (frame) => this.#welcomed(frame));
    this.connection.on('down', (code) => this.#disconnected(code));
    this.connection.on('frame', (frame) => this.#updates.take(frame));
    const request = this.#request;
    const onChange = (name) => this.emit('log', { name });
    this.outbox = new Outbox({
      clock,
      publish: ({ channel, nonce, text, attachments, reply_to, mentions = [] }) =>
        request('publish', {
          channel,
          nonce,
          text,
          ...(attachments.length > 0 && { attachments: attachments.map(({ id }) => id) }),
          ...(reply_to && { reply_to }),
          ...(mentions.length > 0 && { mentions }),
        }),
      onChange,
      onKept: ({ channel }) => this.emit('kept', { name: channel }),
      onVolatile: () => this.emit('volatile'),
      isKnown: (name, seq) => seq !== null && (this.#channels.get(name)?.position?.seq ?? -1) >= seq,
      isLogged: (name, nonce) =>
        this.#channels
          .get(name)
          ?.messages.some((message) => message.nonce === nonce && message.author.id === this.user.id) ?? false,
    });
    this.changes = new Changes({
      clock,
      request,
      channel: (name) => this.#channels.get(name),
      userId: () => this.user.id,
      mentionedIn: (text) => this.#mentionedIn(text),
      onChange,
      onTrouble: (text) => this.emit('trouble', { text }),
    });
    this.reads = new ReadMarker({ clock, tell: (channel, seq) => request('read', { channel, seq }) });
    this.pages = new Pages({ request, onChange });
    this.retries = new Retries(clock);
    this.#typing = new Typing({
      clock,
      tell: (channel) => request('typing', { channel }).catch(() => {}),
      onChange: (name) => this.emit('people', { name }),
    });
    this.#channels = new Channels({
      connection: this.connection,
      retries: this.retries,
      maxFollowed,
      create: (name) => new Channel(name, () => this.user, this.names),
      emit: (event, detail) => this.emit(event, detail),
      onSubscribed: (channel, fresh, isNews) => {
        this.#updates.settle(channel, fresh);
        if (isNews) this.#updates.announce(channel, fresh);
        this.#findUnlisted();
        this.membership.picture(channel);
      },
      onCounted: (channel) => (channel.uncounted ? this.counts.refresh() : this.#findMentions(channel)),
      onRenamed: (name, key) => this.outbox.rename(name, key),
    });
    this.membership = new Membership({
      request,
      names: this.names,
      applyInfo: (value) => this.#channels.found(value),
      channel: (name) => this.#channels.get(name),
      onChange: (name) => {
        this.#channels.follow(name);
        this.emit('channels');
      },
      onPictures: () => this.emit('names'),
    });
    this.counts = new Counts({
      request,
      reads: this.reads,
      retries: this.retries,
      onCounts: (infos) => this.#counted(infos),
      onChange: () => this.emit('channels'),
      onSearched: (channel, messages) => this.#updates.announce(channel, channel.hear(messages)),
    });
    this.#updates = new Updates(this, this.#channels, this.#typing);
    if (user !== NOBODY) this.#identified();
  }

  start() {
    this.connection.start();
  }

  /** The address of a path on the server, which need not be the page's. @param {string} path */
  addressOf(path) {
    return new URL(path, this.connection.url.replace(/^ws/u, 'http')).href;
  }

  /** Sends now what waits for a better moment: the page may be about to go. */
  flush() {
    this.changes.flush();
    this.reads.flush();
  }

  stop() {
    this.flush();
    this.connection.stop();
    this.outbox.close();
  }

  /** All channels, by name. */
  get channels() {
    return this.#channels.all;
  }

  /** Whether a channel has something unread. */
  get isUnread() {
    return this.listed && this.channels.some(({ isNoticed }) => isNoticed);
  }

  /** How many unread messages name the signed-in user. */
  get mentions() {
    return this.listed
      ? this.channels.filter(({ isNoticed }) => isNoticed).reduce((sum, channel) => sum + channel.mentionCount, 0)
      : 0;
  }

  /** The key of a channel that somebody names, in whatever case and composition. @param {string} name */
  key(name) {
    return this.#channels.key(name);
  }

  /** @param {string} name */
  channel(name) {
    return this.#channels.get(this.key(name));
  }

  /** Whether it is still to be heard what is unread. */
  get isCounting() {
    return !this.listed && this.counts.pending;
  }

  /** Whether the server said that the channel can't be opened. @param {string} name */
  isMissing(name) {
    return this.#channels.isMissing(this.key(name));
  }

  /** Whether the server knows who is a member of what. */
  get hasMembership() {
    return this.channels.some(({ isTold }) => isTold);
  }

  /** How a channel is called in a text. @param {string} name */
  label(name) {
    const key = this.key(name);
    const label = this.channel(name)?.label ?? this.#channels.labelOfTaken(key);
    return label ?? (isGenerated(key) ? 'this conversation' : `#${key}`);
  }

  /** Why it can't be opened. @param {string} name @returns {ChatError | undefined} */
  whyMissing(name) {
    return this.#channels.whyMissing(this.key(name));
  }

  /** Whether the right to read the channel has ended. @param {string} name */
  isTaken(name) {
    return this.#channels.isTaken(this.key(name));
  }

  /**
   * Loads a channel's messages, now or as soon as there is a connection, and keeps them up to date, until as many have
   * left it as have opened it. One that is missing is loaded when it appears.
   * @param {string} name
   */
  open(name) {
    this.#channels.open(this.key(name));
  }

  /** Lets go of what only a reader needs, unless somebody else has it open. @param {string} name */
  leave(name) {
    this.#channels.leave(this.key(name));
  }

  /** Fetches the page before the oldest message shown. @param {string} name @returns {Promise<void>} */
  async loadOlder(name) {
    const channel = this.channel(name);
    if (channel?.loaded) await this.pages.older(channel);
  }

  /** Fetches the page after the newest message shown, where that is one of the past. @param {string} name @returns {Promise<void>} */
  async loadNewer(name) {
    const channel = this.channel(name);
    if (channel?.loaded) await this.pages.newer(channel);
  }

  /**
   * Makes the messages around one those that are shown, wherever in the log it stands.
   * @param {string} name a channel that is loaded
   * @param {number} seq
   * @returns {Promise<boolean>} whether there is such a message
   * @throws {ChatError} `disconnected` and others of `history`
   */
  async showAround(name, seq) {
    const channel = this.channel(name);
    return channel?.loaded ? this.pages.around(channel, seq) : false;
  }

  /** Makes the messages at a position those that are shown. @param {string} name a channel that is loaded @param {number} seq @throws {ChatError} as `showAround` */
  async showAt(name, seq) {
    const channel = this.channel(name);
    if (channel?.loaded) await this.pages.at(channel, seq);
  }

  /** Shows the newest messages again. @param {string} name */
  showLive(name) {
    const channel = this.channel(name);
    if (!channel) return;
    channel.held = false;
    this.pages.live(channel);
  }

  /**
   * Looks for messages with all words of the query. An answer may have few or none while `more` is true: it goes on at `before`.
   * @param {?string} name null for all channels that one may read
   * @param {string} query
   * @param {any} [before] what an answer said
   */
  search(name, query, before = null) {
    return searchMessages(this.#request, name, query, before);
  }

  /** Takes the archived channels into the list, too. */
  listArchived() {
    return this.counts.refresh(true);
  }

  /**
   * @param {{name?: string, title?: string, topic?: string, kind?: 'private', members?: string[], history?: 'all' | 'joined'}} fields
   *   a private channel has a title, any other a name
   * @returns {Promise<Channel>}
   * @throws {ChatError} `name_taken` carries the `channel` that has the name
   */
  async createChannel(fields) {
    const answer = await this.connection.request('create_channel', fields);
    return /** @type {Channel} */ (this.#channels.found(answer.channel));
  }

  /** Whom a text mentions, for a server that wants to be told. @param {string} text */
  #mentionedIn(text) {
    return this.hasMembership ? this.names.mentionedIn(text) : [];
  }

  /**
   * Puts a message on its way; it is in the outbox when this returns.
   * @param {string} name
   * @param {{text: string, attachments?: import('./protocol.js').Attachment[], reply_to?: ?number,
   *   uploads?: ?import('./outbox.js').Uploads}} message with `uploads` it goes out once they are done
   * @throws {ChatError} `outbox_full`
   */
  send(name, { text, attachments = [], reply_to = null, uploads = null }) {
    if (this.outbox.waiting >= MAX_WAITING) {
      throw new ChatError({ code: 'outbox_full', message: 'Too many messages wait to be sent.' });
    }
    const mentions = this.#mentionedIn(text);
    return this.outbox.add({
      nonce: this.newNonce(),
      channel: this.key(name),
      text,
      attachments,
      reply_to,
      mentions,
      uploads,
    });
  }

  /** Notes what has been seen in the channel: everything, or what is up to a position. @param {string} name @param {number} [seq] */
  markRead(name, seq = Infinity) {
    const channel = this.channel(name);
    const to = Math.min(seq, channel?.head ?? 0);
    if (!channel?.position || to <= channel.read) return;
    this.#markRead(channel, to);
  }

  /**
   * Makes a message the first one that is unread. The channel stays so until it is read on purpose, or entered anew.
   * @param {string} name
   * @param {number} seq
   * @throws {ChatError} `unknown_command` of a server that can't do it
   */
  async markUnread(name, seq) {
    const channel = this.channel(name);
    if (!channel) return;
    // What was read is told first, so that it doesn't undo this.
    this.reads.flush();
    await this.connection.request('unread', { channel: channel.name, seq });
    this.#updates.unreadFrom(channel, seq);
  }

  /** Notes that everything in all channels has been seen. */
  markAllRead() {
    for (const channel of this.channels) if (channel.unread > 0) this.#markRead(channel, channel.head);
  }

  #markRead(channel, seq) {
    this.#updates.readTo(channel, seq);
    this.reads.mark(channel.name, seq);
  }

  /** Tells the others that one is typing; may be called at every key. @param {string} name */
  typing(name) {
    if (this.connection.phase === 'open') this.#typing.typed(name);
  }

  #stateChanged() {
    this.emit('state');
    if (this.connection.phase === 'closed') this.emit('closed', { code: this.connection.closeCode });
  }

  #welcomed(frame) {
    const user = readUser(frame.user) ?? this.user;
    if (this.user !== NOBODY && user.id !== this.user.id) {
      this.connection.stop();
      this.emit('replaced');
      return;
    }
    const first = this.user === NOBODY;
    this.user = user;
    this.names.add(user);
    if (first) this.#identified();
    for (const limit of Object.keys(DEFAULT_LIMITS)) {
      if (frame.limits?.[limit] >= 0) this.limits = { ...this.limits, [limit]: frame.limits[limit] };
    }
    this.connection.frameBytes = this.limits.frame_bytes;
    this.#channels.connected();
    this.counts.refresh();
    this.outbox.connected();
    this.changes.connected();
    this.emit('ready');
  }

  #identified() {
    if (this.openOutbox) this.outbox.open(this.openOutbox(this.user.id));
    this.changes.restore(new Deletions(this.storage, this.user.id));
  }

  #disconnected(code) {
    this.retries.clear();
    this.#channels.disconnected();
    this.outbox.disconnected(afterClose(code) === 'drop-frame');
  }

  /** Takes over the list of channels with its counts. @returns {boolean} whether something is uncounted even so */
  #counted(infos) {
    for (const info of infos) this.#channels.applyInfo(info);
    this.listed = true;
    this.emit('channels');
    for (const { name } of this.channels) this.#channels.follow(name);
    for (const channel of this.#channels.followed) {
      this.#findMentions(channel);
      this.membership.picture(channel);
    }
    this.#countOthers();
    this.#findUnlisted();
    return this.channels.some((channel) => channel.uncounted);
  }

  /** What is open without being in the list may be archived: asks for those too, once. */
  #findUnlisted() {
    if (!this.listed || !this.hasMembership) return;
    const missed = this.#channels.unlisted.filter((name) => !this.#lookedFor.has(name));
    for (const name of missed) this.#lookedFor.add(name);
    if (missed.length > 0) this.listArchived();
  }

  /** What is not followed is counted by the server, now and then; the rooms of a page need no others. */
  #countOthers() {
    const { others, maxFollowed } = this.#channels;
    if (others.length === 0 || maxFollowed === 0) return;
    this.counts.findMentionsSlowly(others);
    this.retries.after('count', COUNT_EVERY_MS + COUNT_MORE_MS * this.channels.length, () => this.counts.refresh());
  }

  #findMentions(channel) {
    // The answer to a subscription comes first.
    if (!this.#channels.isJoining(channel.name)) this.counts.findMentions(channel);
  }
}

/** `crypto.randomUUID` is there only for pages served over TLS or from this machine. */
function randomNonce() {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
