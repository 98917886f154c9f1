import { h, icon, setText } from '../dom/dom.js';

/** Short losses of the connection mend themselves; only a longer one is worth a word. */
const AFTER_MS = 5000;

/** `<chat-banner>`: says that there is no connection, when the next attempt is, and offers to try now. */
export class Banner extends HTMLElement {
  /** @type {import('../core/connection.js').Connection} */
  #connection;
  /** @type {import('../core/connection.js').Clock} */
  #clock;
  #text;
  #count;
  /** @type {any} */
  #timer = null;

  connectedCallback() {
    if (this.#text) return;
    this.hidden = true;
    this.setAttribute('role', 'status');
    this.#text = h('span');
    // The seconds are for the eye: spoken, they would interrupt all else.
    this.#count = h('span', { 'aria-hidden': 'true' });
    const retry = { type: 'button', class: 'link', on: { click: () => this.#connection.retryNow() } };
    this.append(icon('warning'), this.#text, this.#count, h('button', retry, 'Try now'));
  }

  /** @param {import('../core/chat-core.js').ChatCore} core */
  set core(core) {
    this.#connection = core.connection;
    this.#clock = core.clock;
    core.on('state', () => this.#update());
    this.#update();
  }

  #update() {
    clearTimeout(this.#timer);
    const { phase, downSince, retryAt, refusal } = this.#connection;
    const now = this.#clock.now();
    const down = (phase === 'waiting' || phase === 'connecting') && downSince !== null;
    if (!down) {
      this.hidden = true;
      return;
    }
    this.hidden = now - downSince < AFTER_MS;
    if (!this.hidden) {
      const seconds = Math.max(1, Math.ceil(((retryAt ?? now) - now) / 1000));
      setText(this.#text, refusal ? `The server refuses this page: ${refusal}.` : 'You are offline.');
      setText(this.#count, phase === 'connecting' ? 'Connecting…' : `Trying again in ${seconds} s.`);
    }
    this.#timer = setTimeout(() => this.#update(), this.hidden ? AFTER_MS - (now - downSince) : 500);
  }
}

customElements.define('chat-banner', Banner);
