/** How long the browser may take to open the database; then messages are kept in memory only. */
const OPEN_MS = 3000;

/** The most entries that are read back. */
const MAX_READ = 1000;

const STORE = 'outbox';

/** @typedef {import('./outbox.js').Entry} Entry */

/** One user's outbox in IndexedDB. Every tab has one on the same entries, and hears which ones the others have taken out. */
export class OutboxDb {
  /** @type {Promise<IDBDatabase>} */
  #db;
  /** @type {?BroadcastChannel} */
  #tabs;
  /** Called with the nonce of an entry that another tab took out. @type {(nonce: string) => void} */
  onRemoved = () => {};

  /** @param {string} userId */
  constructor(userId) {
    this.userId = userId;
    this.range = globalThis.IDBKeyRange?.bound([userId], [userId, []]);
    this.#db = openDb();
    // Who asks for something is told.
    this.#db.catch(() => {});
    this.#tabs = globalThis.BroadcastChannel ? new BroadcastChannel(`chatcore.outbox.${userId}`) : null;
    if (this.#tabs) this.#tabs.onmessage = ({ data }) => this.onRemoved(String(data));
  }

  /** @returns {Promise<Entry[]>} in the order they were written */
  async load() {
    const entries = await this.#run('readonly', (store) => store.getAll(this.range, MAX_READ));
    return entries.map(({ entry }) => entry).sort((one, other) => one.at - other.at);
  }

  /** @param {Entry} entry @returns {Promise<void>} */
  put(entry) {
    return this.#run('readwrite', (store) => store.put({ user: this.userId, nonce: entry.nonce, entry }));
  }

  /** @param {string} nonce @returns {Promise<void>} */
  remove(nonce) {
    this.#tabs?.postMessage(nonce);
    return this.#run('readwrite', (store) => store.delete([this.userId, nonce]));
  }

  /** @returns {Promise<void>} */
  clear() {
    return this.#run('readwrite', (store) => store.delete(this.range));
  }

  close() {
    this.#tabs?.close();
    this.#db.then(
      (db) => db.close(),
      () => {},
    );
  }

  /** One transaction; they take effect in the order in which they are asked for. */
  async #run(mode, act) {
    const db = await this.#db;
    return new Promise((resolve, reject) => {
      const transaction = db.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
      // A page that goes away aborts what has not been committed.
      transaction.commit?.();
    });
  }
}

/** @returns {Promise<IDBDatabase>} */
function openDb() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('chatcore', 1);
    setTimeout(() => reject(new Error('the database does not open')), OPEN_MS);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: ['user', 'nonce'] });
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
  });
}
