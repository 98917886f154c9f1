/**
 * An element that listens to the client as long as it is in the document. One that is taken out and put elsewhere listens anew.
 * Each kind makes its parts in `build`, once, and says in `listen` what it listens to.
 */
export class LiveElement extends HTMLElement {
  #core;
  #isBuilt = false;
  #gone = new AbortController();

  connectedCallback() {
    if (!this.#isBuilt) this.build();
    this.#isBuilt = true;
    this.#begin();
  }

  disconnectedCallback() {
    this.#gone.abort();
  }

  /** The client that it shows, once it was set. @returns {import('../core/chat-core.js').ChatCore} */
  get core() {
    return this.#core;
  }

  set core(core) {
    this.#core = core;
    this.#begin();
  }

  #begin() {
    this.#gone.abort();
    if (!this.isConnected || !this.#core) return;
    this.#gone = new AbortController();
    this.listen(this.#core, this.#gone.signal);
  }

  /** Makes the parts, when it is put into a document for the first time. */
  build() {}

  /**
   * Shows how things stand, and listens.
   * @param {import('../core/chat-core.js').ChatCore} _core
   * @param {AbortSignal} _signal ends what begins here
   */
  listen(_core, _signal) {}
}
