/** What somebody has begun to write, by channel; it outlives a reload. */
export class Drafts {
  /** What is on its way, by channel: it is no draft any more, but is kept until the outbox keeps it. @type {Map<string, string>} */
  #sent = new Map();

  /** @param {?Storage} storage @param {string} userId */
  constructor(storage, userId) {
    this.storage = storage;
    this.prefix = `chatcore.draft.${userId}.`;
  }

  /** @param {string} channel */
  get(channel) {
    const text = this.#stored(channel);
    return text === this.#sent.get(channel) ? '' : text;
  }

  /** @param {string} channel @param {string} text */
  set(channel, text) {
    try {
      if (text === '') this.storage?.removeItem(this.prefix + channel);
      else this.storage?.setItem(this.prefix + channel, text);
    } catch {
      // A full storage: the text is still in its field.
    }
  }

  /** The draft is a message now. @param {string} channel */
  sent(channel) {
    this.#sent.set(channel, this.#stored(channel));
  }

  /** The message is where it can't be lost. @param {string} channel */
  kept(channel) {
    if (this.#stored(channel) === this.#sent.get(channel)) this.set(channel, '');
    this.#sent.delete(channel);
  }

  clear() {
    for (const key of Object.keys(this.storage ?? {})) {
      if (key.startsWith(this.prefix)) this.storage?.removeItem(key);
    }
  }

  #stored(channel) {
    return this.storage?.getItem(this.prefix + channel) ?? '';
  }
}
