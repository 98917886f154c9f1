import { RETRY_MS } from './protocol.js';
import { react } from './reactions.js';

/** How long a deletion can be taken back before it is sent. */
export const UNDO_MS = 5000;

/**
 * What somebody does to messages that are there: shown at once, and taken back where the server refuses it.
 * A deletion waits before it is sent, because it can't be undone afterwards.
 */
export class Changes {
  /**
   * By channel and seq; `kept` says that another page has begun it, `shared` that other pages know of it.
   * @type {Map<string, {name: string, seq: number, timer: any, sent: boolean, kept: boolean, shared: boolean}>}
   */
  #leaving = new Map();
  /** Where they outlive the page. @type {?import('./deletions.js').Deletions} */
  #deletions = null;

  /**
   * @param {{clock: import('./connection.js').Clock, request: (type: string, fields: object) => Promise<any>,
   *   channel: (name: string) => import('./channel.js').Channel | undefined, userId: () => string, mentionedIn: (text: string) => string[],
   *   onChange: (name: string) => void, onTrouble: (text: string) => void}} options
   */
  constructor({ clock, request, channel, userId, mentionedIn, onChange, onTrouble }) {
    this.clock = clock;
    this.request = request;
    this.channel = channel;
    this.userId = userId;
    this.mentionedIn = mentionedIn;
    this.onChange = onChange;
    this.onTrouble = onTrouble;
  }

  /** @param {string} name @param {number} seq @param {string} text @returns {Promise<boolean>} whether it was taken */
  async edit(name, seq, text) {
    const before = this.channel(name)?.message(seq);
    if (before?.text === text) return true;
    const edited_at = new Date(this.clock.now()).toISOString();
    const mentions = this.mentionedIn(text);
    this.#show(name, seq, (message) => ({ ...message, text, mentions, edited_at }));
    try {
      await this.request('edit', { channel: name, seq, text, ...(this.channel(name)?.isTold && { mentions }) });
      return true;
    } catch (error) {
      // One that is not here was not changed here.
      if (before)
        this.#show(name, seq, (message) =>
          message.text === text
            ? { ...message, text: before.text, mentions: before.mentions, edited_at: before.edited_at }
            : message,
        );
      this.onTrouble(`Not edited: ${reason(error)}`);
      return false;
    }
  }

  /** Puts an emoji on a message or takes it off. @param {string} name @param {number} seq @param {string} emoji @param {boolean} on */
  async react(name, seq, emoji, on) {
    const show = (given) =>
      this.#show(name, seq, (message) => ({
        ...message,
        reactions: react(message.reactions, { emoji, on: given, by: this.userId() }),
      }));
    show(on);
    try {
      await this.request('react', { channel: name, seq, emoji, on });
    } catch (error) {
      show(!on);
      this.onTrouble(`No reaction: ${reason(error)}`);
    }
  }

  /** Deletes a message in a while, unless that is undone. @param {string} name @param {number} seq */
  remove(name, seq) {
    const key = `${name} ${seq}`;
    if (this.#leaving.has(key)) return;
    const shared = this.#deletions?.put({ name, seq, due: this.clock.now() + UNDO_MS }) ?? false;
    const entry = { name, seq, timer: null, sent: false, kept: false, shared };
    entry.timer = this.clock.setTimeout(() => this.#send(key, entry), UNDO_MS);
    this.#leaving.set(key, entry);
    this.onChange(name);
  }

  /** Goes on with what earlier pages, or other tabs, have begun. @param {import('./deletions.js').Deletions} deletions */
  restore(deletions) {
    this.#deletions = deletions;
    for (const { name, seq, due } of deletions.all()) {
      const key = `${name} ${seq}`;
      const entry = { name, seq, timer: null, sent: false, kept: true, shared: true };
      entry.timer = this.clock.setTimeout(
        () => this.#send(key, entry),
        Math.min(UNDO_MS, Math.max(0, due - this.clock.now())),
      );
      this.#leaving.set(key, entry);
    }
  }

  /** Takes a deletion back that is not on its way. @param {string} name @param {number} seq @returns {boolean} whether it was */
  undo(name, seq) {
    const key = `${name} ${seq}`;
    const entry = this.#leaving.get(key);
    if (!entry || entry.sent) return false;
    this.clock.clearTimeout(entry.timer);
    this.#deletions?.remove(name, seq);
    this.#end(key, name);
    return true;
  }

  /** Whether a message is being deleted. @param {string} name @param {number} seq */
  isLeaving(name, seq) {
    return this.#leaving.has(`${name} ${seq}`);
  }

  /**
   * Sends the deletions that were begun here: their author goes. What does not get out any more the next page sends at
   * once, if it is not taken back elsewhere.
   */
  flush() {
    for (const [key, entry] of this.#leaving) {
      if (entry.sent || entry.kept) continue;
      const { name, seq } = entry;
      if (this.#isShared(entry)) this.#deletions?.put({ name, seq, due: 0 });
      this.#send(key, entry);
    }
  }

  /** Lets go of what was kept for another page. */
  forget() {
    this.#deletions?.clear();
  }

  /** Sends the deletions whose time was up while there was no connection. */
  connected() {
    for (const [key, entry] of this.#leaving) if (entry.timer === null && !entry.sent) this.#send(key, entry);
  }

  async #send(key, entry) {
    const { name, seq } = entry;
    this.clock.clearTimeout(entry.timer);
    // Another page has done it, or taken it back.
    if (entry.shared && !this.#isShared(entry)) return this.#end(key, name);
    Object.assign(entry, { timer: null, sent: true });
    this.onChange(name);
    try {
      await this.request('delete', { channel: name, seq });
      this.#show(name, seq, (message) => ({ ...message, text: '', attachments: [], reactions: [], deleted: true }));
    } catch (error) {
      entry.sent = false;
      if (error.code === 'disconnected') return;
      if (error.retryable) {
        entry.timer = this.clock.setTimeout(() => this.#send(key, entry), error.retryMs ?? RETRY_MS);
        return;
      }
      // Another page may have been quicker.
      if (!entry.kept) this.onTrouble(`Not deleted: ${reason(error)}`);
    }
    this.#deletions?.remove(name, seq);
    this.#end(key, name);
  }

  #isShared({ name, seq, shared }) {
    return shared && this.#deletions?.has(name, seq) === true;
  }

  #end(key, name) {
    this.#leaving.delete(key);
    this.onChange(name);
  }

  #show(name, seq, change) {
    this.channel(name)?.change(seq, change);
    this.onChange(name);
  }
}

function reason(error) {
  return error.code === 'disconnected' ? 'there is no connection.' : error.message;
}
