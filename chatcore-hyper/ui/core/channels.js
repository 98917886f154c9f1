import { channelKey } from '../text/channel-key.js';
import { Channel, PAGE } from './channel.js';
import { ChatError, readChannelInfo } from './protocol.js';

/** The most channels whose messages are kept at once, besides those that somebody has open. */
export const MAX_LOADED = 8;

/** The most names that the server spells otherwise than this client. */
const MAX_ALIASES = 100;

/** The channels that are known: which of them are open, whose messages are kept, and to which this connection subscribed. */
export class Channels {
  /** @type {Map<string, Channel>} */
  #known = new Map();
  /** Channels with messages, least recently opened first. @type {Set<string>} */
  #loaded = new Set();
  /** Channels this connection subscribed to. @type {Set<string>} */
  #followed = new Set();
  /** Channels whose subscription is under way. @type {Set<string>} */
  #joining = new Set();
  /** How many have a channel open. @type {Map<string, number>} */
  #held = new Map();
  /** The keys of channels, by names that the server spells otherwise. @type {Map<string, string>} */
  #aliases = new Map();
  /** Channels that can't be opened, and why. @type {Map<string, ChatError>} */
  #missing = new Map();
  /** Those of them that were there before the right to read them ended, and how they were called. @type {Map<string, string>} */
  #taken = new Map();

  /**
   * @param {{connection: import('./connection.js').Connection, retries: import('./retries.js').Retries, maxFollowed: number,
   *   create: (name: string) => Channel, emit: (event: string, detail?: object) => void,
   *   onSubscribed: (channel: Channel, fresh: import('./protocol.js').Message[], isNews: boolean) => void,
   *   onCounted: (channel: Channel) => void, onRenamed: (name: string, key: string) => void}} options
   *   `onSubscribed` takes the messages that came with a subscription; those of a resume are news. `onCounted` is told
   *   once that has changed the counts.
   */
  constructor({ connection, retries, maxFollowed, create, emit, onSubscribed, onCounted, onRenamed }) {
    this.connection = connection;
    this.retries = retries;
    this.maxFollowed = maxFollowed;
    this.create = create;
    this.emit = emit;
    this.onSubscribed = onSubscribed;
    this.onCounted = onCounted;
    this.onRenamed = onRenamed;
  }

  /** All channels, by name. */
  get all() {
    return [...this.#known.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /** The channels that this connection subscribed to, and those that it did not. */
  get followed() {
    return this.all.filter(({ name }) => this.#followed.has(name));
  }

  get others() {
    return this.all.filter(({ name, isListed }) => isListed && !this.#followed.has(name));
  }

  /** Those that somebody has open and that are not in the list, such as archived ones. */
  get unlisted() {
    return [...this.#held.keys()].filter((name) => this.#known.get(name)?.loaded && !this.#known.get(name)?.createdAt);
  }

  /** The key of a channel that somebody names, in whatever case and composition. @param {string} name */
  key(name) {
    if (!name || this.#known.has(name)) return name;
    const key = channelKey(name);
    return this.#aliases.get(key) ?? key;
  }

  /** @param {string} key */
  get(key) {
    return this.#known.get(key);
  }

  /** The channel of this key, which is new where it was not known. @param {string} key @returns {Channel} */
  ensure(key) {
    const channel = this.#known.get(key) ?? this.create(key);
    this.#known.set(key, channel);
    return channel;
  }

  /** Whether the server said that it can't be opened. @param {string} key */
  isMissing(key) {
    return this.#missing.has(key);
  }

  /** Why it can't be opened. @param {string} key @returns {ChatError | undefined} */
  whyMissing(key) {
    return this.#missing.get(key);
  }

  /** Whether the right to read it has ended. @param {string} key */
  isTaken(key) {
    return this.#taken.has(key);
  }

  /** @param {string} key */
  labelOfTaken(key) {
    return this.#taken.get(key);
  }

  /** Whether its subscription is under way. @param {string} key */
  isJoining(key) {
    return this.#joining.has(key);
  }

  /** Subscribes again: the channel on the screen first, then the others that are kept. */
  connected() {
    for (const name of [...this.#loaded].reverse()) this.join(name);
  }

  disconnected() {
    this.#followed.clear();
    this.#joining.clear();
    for (const { name, typing } of this.#known.values()) {
      typing.clear();
      this.emit('people', { name });
    }
  }

  /** Takes over what the directory says of a channel. @param {?import('./protocol.js').ChannelInfo} info @returns {Channel | undefined} */
  applyInfo(info) {
    if (!info) return undefined;
    const channel = this.ensure(info.name);
    this.#found(info.name);
    channel.applyInfo(info);
    return channel;
  }

  /** Takes over a channel that the server tells of by itself or by an answer, and follows it. @param {any} value @returns {Channel | undefined} */
  found(value) {
    const channel = this.applyInfo(readChannelInfo(value));
    if (!channel) return undefined;
    this.emit('channels');
    this.follow(channel.name);
    return channel;
  }

  /** Somebody has created a channel, or a channel is another one to the user now. @param {any} frame */
  created({ type, channel: value }) {
    const isNews = !this.#known.get(value?.name)?.createdAt;
    // It is said to everybody alike, and perhaps after the answer to its creator.
    if (!isNews && type === 'channel_created') return;
    const channel = this.applyInfo(readChannelInfo(value));
    if (!channel) return;
    // A channel that they have left themselves is no news.
    channel.isNews = isNews || (channel.isNews && channel.isJoined);
    this.emit('channels');
    this.follow(channel.name);
    if (isNews && type === 'channel_added' && channel.createdBy?.id !== channel.user().id)
      this.emit('added', { name: channel.name });
  }

  /** The user is no longer in a channel. An open one that they left is still there to read. @param {any} frame */
  removed({ channel: name, reason }) {
    const channel = this.#known.get(name);
    if (reason !== 'left' || channel?.kind !== 'open') return this.remove(name, undefined, reason !== 'left');
    Object.assign(channel, { role: null, isNews: false });
    return this.emit('channels');
  }

  /** Loads a channel's messages and keeps them up to date, until as many have left it as have opened it. @param {string} key */
  open(key) {
    this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
    this.#load(key);
  }

  /** Lets go of what only a reader needs, unless somebody else has it open. @param {string} key */
  leave(key) {
    const others = (this.#held.get(key) ?? 0) - 1;
    if (others > 0) return void this.#held.set(key, others);
    this.#held.delete(key);
    const channel = this.#known.get(key);
    if (channel) channel.held = false;
    channel?.shrink();
    this.#makeRoom();
  }

  #load(name) {
    const known = this.#known.get(name)?.loaded;
    this.#loaded.delete(name);
    this.#loaded.add(name);
    this.#makeRoom();
    if (!known) this.join(name);
  }

  /** Lets go of the messages of channels that nobody has open. */
  #makeRoom() {
    for (const oldest of this.#loaded) {
      if (this.#loaded.size <= MAX_LOADED) break;
      if (this.#held.has(oldest)) continue;
      this.#loaded.delete(oldest);
      this.#unload(oldest);
    }
  }

  #unload(name) {
    this.#known.get(name)?.unload();
    if (this.#followed.size <= this.maxFollowed || !this.#followed.delete(name)) return;
    this.#known.get(name)?.unfollow();
    this.connection.request('unsubscribe', { channel: name }).catch(() => {});
  }

  /** Follows a channel in the background, as far as there is room. @param {string} name */
  follow(name) {
    if (this.ensure(name).isListed && !this.#followed.has(name) && this.#followed.size < this.maxFollowed)
      this.join(name);
  }

  /** Subscribes, from the last position where messages are kept. @param {string} name */
  async join(name) {
    if (this.connection.phase !== 'open' || this.#joining.has(name)) return;
    this.#joining.add(name);
    this.#followed.add(name);
    const load = this.#loaded.has(name);
    const channel = this.#known.get(name);
    const after = load && channel?.loaded ? channel.position : null;
    try {
      const answer = await this.connection.request('subscribe', {
        channel: name,
        ...(after && { after }),
        limit: load ? PAGE : 0,
      });
      this.#joining.delete(name);
      this.#joined(name, answer, load);
    } catch (error) {
      if (error.code === 'disconnected') return;
      this.#joining.delete(name);
      this.#followed.delete(name);
      if (error.retryable) this.retries.later(`subscribe ${name}`, error, () => this.join(name));
      else if (this.#isTaken(name, error)) this.remove(name, error);
      else if (load) this.#lost(name, error);
    }
  }

  /** A private channel that one may read no longer looks as if there were none. */
  #isTaken(name, { code }) {
    const known = this.#known.get(name);
    return known && (code === 'not_allowed' || (code === 'no_such_channel' && known.kind !== 'open'));
  }

  #joined(name, answer, load) {
    if (typeof answer.channel === 'string' && answer.channel !== name) return this.#renamed(name, answer.channel);
    const channel = this.ensure(name);
    this.#found(name);
    const { loaded, unread, mentionCount } = channel;
    const fresh = channel.subscribed(answer, load);
    // On a resume the new ones were sent while this client was away; they are news all the same.
    this.onSubscribed(channel, fresh, loaded && answer.reset === false);
    this.emit('log', { name });
    this.emit('people', { name });
    if (channel.unread !== unread || channel.mentionCount !== mentionCount) this.emit('channels');
    if (!this.#loaded.has(name)) channel.unload();
    else if (!load) this.join(name);
    return this.onCounted(channel);
  }

  /** The server spells the name otherwise: what was opened under it is that channel. */
  #renamed(name, key) {
    const [oldest] = this.#aliases.keys();
    if (this.#aliases.size >= MAX_ALIASES) this.#aliases.delete(oldest);
    this.#aliases.set(name, key);
    this.#followed.delete(name);
    this.onRenamed(name, key);
    const held = this.#held.get(name) ?? 0;
    this.#held.delete(name);
    if (held > 0) this.#held.set(key, (this.#held.get(key) ?? 0) + held);
    if (this.#loaded.delete(name)) this.#load(key);
    this.emit('renamed', { name, key });
  }

  #lost(name, error) {
    this.#loaded.delete(name);
    this.#missing.set(name, error);
    if (!this.#known.get(name)?.createdAt) this.#known.delete(name);
    this.emit('log', { name });
  }

  #found(name) {
    this.#missing.delete(name);
    this.#taken.delete(name);
    if (this.#held.has(name) && !this.#loaded.has(name)) this.#load(name);
  }

  /**
   * The right to read a channel has ended: nothing of it stays here.
   * @param {string} name
   * @param {ChatError} [error]
   * @param {boolean} [isSaid] whether the user is told
   */
  remove(name, error = new ChatError({ code: 'not_allowed' }), isSaid = true) {
    const known = this.#known.get(name);
    this.#known.delete(name);
    for (const names of [this.#loaded, this.#followed, this.#joining]) names.delete(name);
    this.#missing.set(name, error);
    this.#taken.set(name, known?.label ?? name);
    if (this.#taken.size > MAX_ALIASES) this.#taken.delete(this.#taken.keys().next().value ?? '');
    for (const event of ['log', 'people', 'channels']) this.emit(event, { name });
    if (known) this.emit('removed', { name, label: known.label, isSaid });
  }
}
