import { h } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';
import { plainText } from '../text/markdown.js';

/** A live region reads what is added; old lines are of no use to it. */
const KEPT_LINES = 5;

/** `<chat-announcer>`: speaks the new messages of the open channel, and nothing else, to a screen reader. */
export class Announcer extends LiveElement {
  channel = null;

  /** @override */
  build() {
    this.className = 'visually-hidden';
    this.setAttribute('aria-live', 'polite');
    this.setAttribute('aria-relevant', 'additions');
  }

  /** @override */
  listen(core, signal) {
    core.on('message', ({ name, message }) => name === this.channel && this.#speak(message), { signal });
  }

  #speak({ author, text, attachments }) {
    const files = attachments.map(({ name }) => name).join(', ');
    this.append(h('p', {}, `${author.name}: ${[plainText(text), files].filter(Boolean).join(' ')}`));
    while (this.childElementCount > KEPT_LINES) this.firstElementChild?.remove();
  }
}

customElements.define('chat-announcer', Announcer);
