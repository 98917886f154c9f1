/** The most channels that are remembered. */
const KEPT_NAMES = 20;

/** The channels that somebody was in, the last one first; outlives a reload. */
export class Recent {
  /** @type {string[]} */
  names = [];

  /** @param {?Storage} storage @param {string} userId */
  constructor(storage, userId) {
    this.storage = storage;
    this.key = `chatcore.recent.${userId}`;
    try {
      const names = JSON.parse(storage?.getItem(this.key) ?? '[]');
      this.names = Array.isArray(names) ? names.filter((name) => typeof name === 'string').slice(0, KEPT_NAMES) : [];
    } catch {
      // Not what was written here.
    }
  }

  /** @param {string} name */
  visit(name) {
    if (this.names[0] === name) return;
    this.names = [name, ...this.names.filter((other) => other !== name)].slice(0, KEPT_NAMES);
    try {
      this.storage?.setItem(this.key, JSON.stringify(this.names));
    } catch {
      // A full storage: the names live as long as the page.
    }
  }

  clear() {
    this.storage?.removeItem(this.key);
  }
}
