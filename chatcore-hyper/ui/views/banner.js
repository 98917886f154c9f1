import { h, icon, setText } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';

/** Short losses of the connection mend themselves; only a longer one is worth a word. */
const AFTER_MS = 5000;

/** `<chat-banner>`: says that there is no connection, when the next attempt is, and offers to try now. */
export class Banner extends LiveElement {
  #text;
  #count;
  /** @type {any} */
  #timer = null;

  /** @override */
  build() {
    this.hidden = true;
    this.setAttribute('role', 'status');
    this.#text = h('span');
    // The seconds are for the eye: spoken, they would interrupt all else.
    this.#count = h('span', { 'aria-hidden': 'true' });
    const retry = { type: 'button', class: 'link', on: { click: () => this.core.connection.retryNow() } };
    this.append(icon('warning'), this.#text, this.#count, h('button', retry, 'Try now'));
  }

  /** @override */
  listen(core, signal) {
    core.on('state', () => this.#update(), { signal });
    signal.addEventListener('abort', () => clearTimeout(this.#timer));
    this.#update();
  }

  #update() {
    clearTimeout(this.#timer);
    const { phase, downSince, retryAt, refusal } = this.core.connection;
    const now = this.core.clock.now();
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
