import { RETRY_MS } from './protocol.js';

/** How often at most a channel's read position is told to the server. */
const EVERY_MS = 500;

/** How many channels at most are told at once. */
const MAX_TOLD = 100;

/** Tells the server what has been read: the newest position of each channel, throttled, and again after a lost connection. */
export class ReadMarker {
  /** @type {Map<string, number>} */
  #due = new Map();
  #timer = null;

  /** @param {{clock: import('./connection.js').Clock, tell: (channel: string, seq: number) => Promise<any>}} options */
  constructor({ clock, tell }) {
    this.clock = clock;
    this.tell = tell;
  }

  /** @param {string} channel @param {number} seq */
  mark(channel, seq) {
    this.#due.set(channel, seq);
    this.#later(EVERY_MS);
  }

  flush() {
    this.clock.clearTimeout(this.#timer);
    this.#timer = null;
    for (const [channel, seq] of [...this.#due].slice(0, MAX_TOLD)) this.#send(channel, seq);
    if (this.#due.size > 0) this.#later(EVERY_MS);
  }

  #later(ms) {
    this.#timer ??= this.clock.setTimeout(() => this.flush(), ms);
  }

  async #send(channel, seq) {
    this.#due.delete(channel);
    try {
      await this.tell(channel, seq);
    } catch (error) {
      if (!error.retryable) return;
      this.#due.set(channel, Math.max(seq, this.#due.get(channel) ?? 0));
      // After a reconnect it is told before the counts are asked for.
      if (error.code !== 'disconnected') this.#later(error.retryMs ?? RETRY_MS);
    }
  }
}
