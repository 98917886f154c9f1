/** What somebody has begun to write, by channel; it outlives a reload. */
export class Drafts {
  /** @param {?Storage} storage @param {string} userId */
  constructor(storage, userId) {
    this.storage = storage;
    this.prefix = `chatcore.draft.${userId}.`;
  }

  /** @param {string} channel */
  get(channel) {
    return this.storage?.getItem(this.prefix + channel) ?? '';
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

  clear() {
    for (const key of Object.keys(this.storage ?? {})) {
      if (key.startsWith(this.prefix)) this.storage.removeItem(key);
    }
  }
}
