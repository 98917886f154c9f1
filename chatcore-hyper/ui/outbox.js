/** How long a message may stay without its ack before its author is told. */
export const ACK_MS = 10_000;

/** The most messages that wait at once; a client that has so many should not promise more. */
export const MAX_WAITING = 200;

/** The pause after a refusal that may be tried again and names no time. */
const PAUSE_MS = 1000;

/**
 * @typedef {{nonce: string, channel: string, text: string, attachments: import('./protocol.js').Attachment[],
 *   reply_to: ?number, at: number, state: 'pending' | 'failed' | 'sent', seq: ?number,
 *   error: ?{code: string, message: string}}} Entry
 *   `sent` has its ack and waits for the log to come to it.
 */

/**
 * The messages on their way out: in order within a channel, one on the wire at a time, under the nonce they were born with.
 * What has no ack is kept in the storage, one item each so that two tabs do not overwrite one another, and outlives a reload.
 */
export class Outbox {
  /** In the order they were written. @type {Map<string, Entry>} */
  #entries = new Map();
  /** The nonce on the wire, by channel. @type {Map<string, string>} */
  #inFlight = new Map();
  /** Channels told to wait, with the timer that ends it. @type {Map<string, any>} */
  #paused = new Map();
  /** @type {Map<string, any>} */
  #deadlines = new Map();
  #online = false;

  /**
   * @param {{clock: import('./connection.js').Clock, storage: ?Storage, prefix: string,
   *   publish: (entry: Entry) => Promise<any>, onChange: (channel: string) => void,
   *   isKnown: (channel: string, seq: number) => boolean}} options
   *   `isKnown` tells whether the channel's log has come to `seq`, so that the message itself stands there.
   */
  constructor({ clock, storage, prefix, publish, onChange, isKnown }) {
    Object.assign(this, { clock, storage, prefix, publish, onChange, isKnown });
    for (const entry of this.#stored()) {
      this.#entries.set(entry.nonce, entry);
      if (entry.state === 'pending') this.#expect(entry, ACK_MS);
    }
  }

  /** @param {string} channel @returns {Entry[]} */
  of(channel) {
    return [...this.#entries.values()].filter((entry) => entry.channel === channel);
  }

  /** How many have no ack. */
  get waiting() {
    return [...this.#entries.values()].filter((entry) => entry.state !== 'sent').length;
  }

  /** @param {{nonce: string, channel: string, text: string, attachments: any[], reply_to: ?number}} message */
  add(message) {
    /** @type {Entry} */
    const entry = { ...message, at: this.clock.now(), state: 'pending', seq: null, error: null };
    this.#entries.set(entry.nonce, entry);
    this.#store(entry);
    this.#expect(entry, ACK_MS);
    this.onChange(entry.channel);
    this.#pump(entry.channel);
    return entry;
  }

  /** Tries a failed one again, as the same message. @param {string} nonce */
  retry(nonce) {
    const entry = this.#entries.get(nonce);
    if (entry?.state !== 'failed') return;
    this.#update(entry, { state: 'pending', error: null });
    this.#expect(entry, ACK_MS);
    this.#pump(entry.channel);
  }

  /** Gives one up, because its author wants it so or because the log has it. @param {string} nonce */
  remove(nonce) {
    const entry = this.#entries.get(nonce);
    if (!entry) return;
    this.#forget(nonce);
    this.#entries.delete(nonce);
    this.onChange(entry.channel);
  }

  /** Gives all up, and their places in the storage. */
  clear() {
    for (const nonce of [...this.#entries.keys()]) this.remove(nonce);
  }

  /** The log of the channel has moved on. @param {string} channel */
  settle(channel) {
    for (const entry of this.of(channel)) {
      if (entry.state === 'sent' && this.isKnown(channel, entry.seq)) this.remove(entry.nonce);
    }
  }

  /** The connection is there: all goes out that was not refused. */
  connected() {
    this.#online = true;
    for (const entry of this.#entries.values()) {
      if (entry.state === 'failed' && entry.error?.code === 'timeout') this.#update(entry, { state: 'pending', error: null });
      if (entry.state === 'pending') this.#expect(entry, ACK_MS);
    }
    for (const channel of new Set([...this.#entries.values()].map((entry) => entry.channel))) this.#pump(channel);
  }

  /**
   * The connection is gone.
   * @param {boolean} dropFrames whether the server closed it because of a frame, which then must not be sent by itself again
   */
  disconnected(dropFrames) {
    this.#online = false;
    for (const nonce of dropFrames ? this.#inFlight.values() : []) {
      const entry = this.#entries.get(nonce);
      if (entry) this.#fail(entry, 'refused', 'The server did not accept it.');
    }
    this.#inFlight.clear();
    for (const timer of this.#paused.values()) this.clock.clearTimeout(timer);
    this.#paused.clear();
  }

  async #pump(channel) {
    if (!this.#online || this.#inFlight.has(channel) || this.#paused.has(channel)) return;
    const next = this.of(channel).find((entry) => entry.state === 'pending');
    if (!next) return;
    this.#inFlight.set(channel, next.nonce);
    this.#expect(next, ACK_MS);
    try {
      this.#acked(next.nonce, await this.publish(next));
    } catch (error) {
      this.#refused(next, error);
    }
    if (this.#inFlight.get(channel) === next.nonce) this.#inFlight.delete(channel);
    this.#pump(channel);
  }

  #acked(nonce, answer) {
    const entry = this.#entries.get(nonce);
    if (!entry) return;
    this.#forget(nonce);
    if (this.isKnown(entry.channel, answer.seq)) return this.remove(nonce);
    this.#update(entry, { state: 'sent', seq: answer.seq, error: null });
  }

  #refused(entry, error) {
    if (!this.#entries.has(entry.nonce) || error.code === 'disconnected') return;
    if (!error.retryable) return this.#fail(entry, error.code, error.message);
    const pause = error.retryMs ?? PAUSE_MS;
    this.clock.clearTimeout(this.#paused.get(entry.channel));
    this.#paused.set(
      entry.channel,
      this.clock.setTimeout(() => {
        this.#paused.delete(entry.channel);
        this.#pump(entry.channel);
      }, pause),
    );
    // The server did answer, so the silence that the deadline is about starts after the pause.
    for (const waiting of this.of(entry.channel)) {
      if (waiting.state === 'pending') this.#expect(waiting, pause + ACK_MS);
    }
  }

  #expect(entry, ms) {
    this.clock.clearTimeout(this.#deadlines.get(entry.nonce));
    this.#deadlines.set(
      entry.nonce,
      this.clock.setTimeout(() => this.#expired(entry.nonce), ms),
    );
  }

  #expired(nonce) {
    const entry = this.#entries.get(nonce);
    if (entry?.state !== 'pending') return;
    if (this.#inFlight.get(entry.channel) === nonce) this.#inFlight.delete(entry.channel);
    this.#fail(entry, 'timeout', 'No answer from the server.');
    this.#pump(entry.channel);
  }

  #fail(entry, code, message) {
    this.clock.clearTimeout(this.#deadlines.get(entry.nonce));
    this.#deadlines.delete(entry.nonce);
    this.#update(entry, { state: 'failed', error: { code, message } });
  }

  /** Entries are replaced, not changed, so that a view may compare them by identity. */
  #update(entry, change) {
    const updated = { ...entry, ...change };
    this.#entries.set(entry.nonce, updated);
    if (updated.state !== 'sent') this.#store(updated);
    this.onChange(entry.channel);
  }

  #store(entry) {
    try {
      this.storage?.setItem(this.prefix + entry.nonce, JSON.stringify(entry));
    } catch {
      // A full storage costs the message its life over a reload, not its way out now.
    }
  }

  #forget(nonce) {
    this.clock.clearTimeout(this.#deadlines.get(nonce));
    this.#deadlines.delete(nonce);
    this.storage?.removeItem(this.prefix + nonce);
  }

  /** @returns {Entry[]} */
  #stored() {
    const entries = [];
    for (let at = 0; at < (this.storage?.length ?? 0); at++) {
      const key = this.storage.key(at);
      if (!key.startsWith(this.prefix)) continue;
      try {
        const entry = JSON.parse(this.storage.getItem(key));
        const timedOut = entry.error?.code === 'timeout';
        entries.push(timedOut ? { ...entry, state: 'pending', error: null } : entry);
      } catch {
        // Not one of ours; it is not ours to remove either.
      }
    }
    return entries.sort((one, other) => one.at - other.at);
  }
}
