import { list, readMessage } from './protocol.js';

/** The most fetched messages kept for quoting. */
const MAX_QUOTES = 200;

/** The messages that replies point at: those that are loaded, and others fetched one at a time. */
export class Quotes {
  /** By channel and seq; undefined while it is asked for, null where there is none. */
  #fetched = new Map();

  /** @param {import('./chat-core.js').ChatCore} core @param {(name: string) => void} onChange */
  constructor(core, onChange) {
    this.core = core;
    this.onChange = onChange;
  }

  /** @param {import('./channel.js').Channel} channel @param {number} seq @returns {?import('./protocol.js').Message | undefined} */
  of(channel, seq) {
    const key = `${channel.name} ${seq}`;
    const loaded = channel.message(seq);
    if (loaded || this.#fetched.has(key)) return loaded ?? this.#fetched.get(key);
    this.#fetched.set(key, undefined);
    if (this.#fetched.size > MAX_QUOTES) this.#fetched.delete(this.#fetched.keys().next().value);
    this.#fetch(channel.name, seq, key);
    return undefined;
  }

  async #fetch(name, seq, key) {
    try {
      const { messages } = await this.core.connection.request('history', { channel: name, before: seq + 1, limit: 1 });
      this.#fetched.set(key, list(messages, readMessage).find((message) => message.seq === seq) ?? null);
    } catch {
      // Asked again at the next drawing.
      this.#fetched.delete(key);
      return;
    }
    this.onChange(name);
  }
}
