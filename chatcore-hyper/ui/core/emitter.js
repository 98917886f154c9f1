/** A list of listeners by event name. */
export class Emitter {
  /** @type {Map<string, Set<(detail: any) => void>>} */
  #listeners = new Map();

  /**
   * @param {string} name
   * @param {(detail: any) => void} listener
   * @param {{signal?: AbortSignal}} [options] `signal` takes the listener off again
   */
  on(name, listener, { signal } = {}) {
    if (signal?.aborted) return;
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    signal?.addEventListener('abort', () => listeners.delete(listener));
  }

  /**
   * @param {string} name
   * @param {any} [detail]
   */
  emit(name, detail) {
    const listeners = this.#listeners.get(name) ?? new Set();
    for (const listener of [...listeners]) if (listeners.has(listener)) listener(detail);
  }
}
