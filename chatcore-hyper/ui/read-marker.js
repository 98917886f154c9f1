/** How often at most a channel's read position is told to the server. */
const EVERY_MS = 500;

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
    this.#timer ??= this.clock.setTimeout(() => this.flush(), EVERY_MS);
  }

  flush() {
    this.clock.clearTimeout(this.#timer);
    this.#timer = null;
    for (const [channel, seq] of this.#due) this.#send(channel, seq);
  }

  async #send(channel, seq) {
    this.#due.delete(channel);
    try {
      await this.tell(channel, seq);
    } catch (error) {
      // What the server cannot take now it is told with the next one, or after the reconnect.
      if (error.retryable) this.#due.set(channel, Math.max(seq, this.#due.get(channel) ?? 0));
    }
  }
}
