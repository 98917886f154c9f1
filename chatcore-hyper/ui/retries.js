import { RETRY_MS } from './protocol.js';

/** What the server could not take for the moment and is asked for again: each thing once, for as long as the connection lasts. */
export class Retries {
  /** The timers, by what waits for them. @type {Map<string, any>} */
  #waiting = new Map();

  /** @param {import('./connection.js').Clock} clock */
  constructor(clock) {
    this.clock = clock;
  }

  /** @param {string} what @param {import('./protocol.js').ChatError} error @param {() => void} run */
  later(what, error, run) {
    if (!error.retryable || error.code === 'disconnected' || this.#waiting.has(what)) return;
    const again = () => {
      this.#waiting.delete(what);
      run();
    };
    this.#waiting.set(what, this.clock.setTimeout(again, error.retryMs ?? RETRY_MS));
  }

  /** Forgets them all: the next connection begins anew. */
  clear() {
    for (const timer of this.#waiting.values()) this.clock.clearTimeout(timer);
    this.#waiting.clear();
  }
}
