import { RETRY_MS } from './protocol.js';

/** What the server is asked for later, such as what it could not take for the moment: each thing once, for as long as the connection lasts. */
export class Retries {
  /** The timers, by what waits for them. @type {Map<string, any>} */
  #waiting = new Map();

  /** @param {import('./connection.js').Clock} clock */
  constructor(clock) {
    this.clock = clock;
  }

  /** @param {string} what @param {import('./protocol.js').ChatError} error @param {() => void} run */
  later(what, error, run) {
    if (error.retryable && error.code !== 'disconnected') this.after(what, error.retryMs ?? RETRY_MS, run);
  }

  /** @param {string} what @param {number} ms @param {() => void} run */
  after(what, ms, run) {
    if (this.#waiting.has(what)) return;
    const due = () => {
      this.#waiting.delete(what);
      run();
    };
    this.#waiting.set(what, this.clock.setTimeout(due, ms));
  }

  /** Forgets them all: the next connection begins anew. */
  clear() {
    for (const timer of this.#waiting.values()) this.clock.clearTimeout(timer);
    this.#waiting.clear();
  }
}
