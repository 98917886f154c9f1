const KEY = 'chatcore.emoji';

/** How many are remembered. */
const MAX_RECENT = 16;

/** The emoji used last, the newest first; without a storage they last as long as the page. */
export class RecentEmoji {
  #kept = [];

  get list() {
    try {
      const stored = JSON.parse(localStorage.getItem(KEY) ?? '[]');
      if (Array.isArray(stored)) this.#kept = stored.filter((emoji) => typeof emoji === 'string').slice(0, MAX_RECENT);
    } catch {
      // The storage is forbidden, or holds something else.
    }
    return this.#kept;
  }

  /** @param {string} emoji */
  add(emoji) {
    this.#kept = [emoji, ...this.list.filter((other) => other !== emoji)].slice(0, MAX_RECENT);
    try {
      localStorage.setItem(KEY, JSON.stringify(this.#kept));
    } catch {
      // As above.
    }
  }
}
