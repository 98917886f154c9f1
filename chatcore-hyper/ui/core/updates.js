import { isSeq, readUser } from './protocol.js';

/** What is new in the channels: takes it over from the server's frames, and tells those who want to know. */
export class Updates {
  #core;
  #channels;
  #typing;

  /** @param {import('./chat-core.js').ChatCore} core @param {import('./channels.js').Channels} channels @param {import('./typing.js').Typing} typing */
  constructor(core, channels, typing) {
    this.#core = core;
    this.#channels = channels;
    this.#typing = typing;
  }

  /** Takes over what a frame says that answers no command. @param {any} frame */
  take(frame) {
    const { type, channel: name, seq } = frame;
    if (type === 'user_changed') return this.#userChanged(readUser(frame.user));
    if (type === 'channel_created' || type === 'channel_added') return this.#channels.created(frame);
    if (typeof name !== 'string') return undefined;
    if (type === 'channel_removed') return this.#channels.removed(frame);
    // It may be said of a channel whose list is on its way.
    if (type === 'read') return isSeq(seq) && this.readTo(this.#channels.ensure(name), seq);
    const channel = this.#channels.get(name);
    if (!channel) return undefined;
    switch (type) {
      case 'unread':
        return isSeq(seq) && this.unreadFrom(channel, seq);
      case 'counts':
        return this.#told(channel, frame);
      case 'presence':
        if (channel.loaded || channel.kind === 'direct') channel.setPresence(frame);
        return this.#core.emit('people', { name });
      case 'typing':
        return this.#heardTyping(channel, readUser(frame.user));
      case 'lagged':
        return this.#channels.join(name);
      default:
        // An event of the log has its place there, also one that a later server has added.
        return isSeq(seq) && this.#logged(channel, frame);
    }
  }

  #told(channel, { unread, mentions }) {
    if (!Number.isSafeInteger(unread) || !Number.isSafeInteger(mentions)) return;
    if (!channel.takeCounts({ unread, mentions })) return void this.#core.counts.refresh();
    this.#core.emit('channels');
    this.#channels.follow(channel.name);
  }

  #userChanged(user) {
    if (!user) return;
    this.#core.names.add(user, '');
    if (user.id === this.#core.user.id) this.#core.user = user;
    this.#core.emit('names');
  }

  #logged(channel, event) {
    const { result, fresh } = channel.apply(event);
    // While a subscription is under way, its answer or what follows it carries the missing ones.
    if (result === 'gap') this.#channels.join(channel.name);
    if (result !== 'applied') return;
    this.settle(channel, fresh);
    this.announce(channel, fresh);
    if (channel.uncounted) this.#core.counts.refresh();
    this.#core.emit('log', { name: channel.name });
    if (fresh.length > 0 || event.type !== 'reaction') this.#core.emit('channels');
    if (fresh.length > 0) this.#core.emit('people', { name: channel.name });
  }

  /** Takes out of the outbox what the log has. @param {import('./channel.js').Channel} channel @param {import('./protocol.js').Message[]} messages */
  settle(channel, messages) {
    for (const message of messages) {
      if (message.author.id === this.#core.user.id && message.nonce) this.#core.outbox.remove(message.nonce);
    }
    this.#core.outbox.settle(channel.name);
  }

  /** Tells of what others have written. @param {import('./channel.js').Channel} channel @param {import('./protocol.js').Message[]} messages */
  announce(channel, messages) {
    for (const message of messages) {
      if (message.author.id !== this.#core.user.id)
        this.#core.emit('message', {
          name: channel.name,
          message,
          mention: channel.isMention(message.author.id, message),
        });
    }
  }

  #heardTyping(channel, user) {
    if (user && user.id !== this.#core.user.id) this.#typing.heard(channel, user);
  }

  /** Takes over what has been read, here or elsewhere. @param {import('./channel.js').Channel} channel @param {number} seq */
  readTo(channel, seq) {
    channel.markRead(seq);
    if (channel.uncounted) this.#core.counts.refresh();
    this.#core.emit('channels');
  }

  /** Takes over what is unread again. @param {import('./channel.js').Channel} channel @param {number} seq */
  unreadFrom(channel, seq) {
    channel.markUnread(seq);
    this.#core.emit('unread', { name: channel.name, seq });
    this.#core.emit('channels');
    this.#core.counts.refresh();
  }
}
