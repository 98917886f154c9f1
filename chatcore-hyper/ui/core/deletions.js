import { isSeq } from './protocol.js';

/** The most deletions that are kept. */
const MAX_DELETIONS = 100;

/** @typedef {{name: string, seq: number, due: number}} Deletion `due` is when it is sent, on the clock of the page */

/**
 * The deletions that the server has not confirmed: who deletes a message and goes may go before that is told, and then it is
 * told by the next page. All tabs of a user share them.
 */
export class Deletions {
  /** @param {?Storage} storage @param {string} userId */
  constructor(storage, userId) {
    this.storage = storage;
    this.key = `chatcore.deletions.${userId}`;
  }

  /** @returns {Deletion[]} */
  all() {
    try {
      const kept = JSON.parse(this.storage?.getItem(this.key) ?? '[]');
      return kept.filter(({ name, seq, due }) => typeof name === 'string' && isSeq(seq) && Number.isFinite(due));
    } catch {
      // Not what was written here.
      return [];
    }
  }

  /** @param {string} name @param {number} seq */
  has(name, seq) {
    return this.all().some((kept) => kept.name === name && kept.seq === seq);
  }

  /** @param {Deletion} deletion @returns {boolean} whether there was room for it */
  put(deletion) {
    const others = this.#others(deletion.name, deletion.seq);
    return others.length < MAX_DELETIONS && this.#keep([...others, deletion]);
  }

  /** @param {string} name @param {number} seq */
  remove(name, seq) {
    this.#keep(this.#others(name, seq));
  }

  clear() {
    this.storage?.removeItem(this.key);
  }

  #others(name, seq) {
    return this.all().filter((kept) => kept.name !== name || kept.seq !== seq);
  }

  /** @param {Deletion[]} deletions */
  #keep(deletions) {
    try {
      if (deletions.length === 0) this.clear();
      else this.storage?.setItem(this.key, JSON.stringify(deletions));
      return this.storage !== null;
    } catch {
      // A full storage: the page sends them as long as it is there.
      return false;
    }
  }
}
