import { focused, h, icon, setText } from '../dom/dom.js';
import { counted, number } from '../text/format.js';

/** The two buttons over the messages: one leads up to the New line, the other down to the end. */
export class Pills {
  #text = h('span');

  /** @param {HTMLElement} scroller @param {{onUp: () => void, onDown: () => void}} options */
  constructor(scroller, { onUp, onDown }) {
    this.scroller = scroller;
    this.down = h(
      'button',
      { type: 'button', class: 'pill', hidden: true, on: { click: onDown } },
      this.#text,
      icon('down'),
    );
    this.up = h(
      'button',
      { type: 'button', class: 'pill up', hidden: true, on: { click: onUp } },
      h('span', {}, 'First new message'),
      icon('down'),
    );
  }

  hide() {
    this.down.hidden = true;
    this.up.hidden = true;
  }

  /** @param {boolean} offered */
  offerUp(offered) {
    this.#show(this.up, offered);
  }

  /** @param {boolean} offered @param {number} unread */
  offerDown(offered, unread) {
    this.#show(this.down, offered);
    this.down.classList.toggle('fresh', unread > 0);
    setText(this.#text, unread > 0 ? `${number(unread)} new` : 'Newest');
    this.down.setAttribute(
      'aria-label',
      unread > 0 ? `${counted(unread, 'new message')}, go to the end` : 'Go to the newest message',
    );
  }

  /** Shows or hides a button; the focus of one that goes stays among the messages. */
  #show(button, shown) {
    if (!shown && button === focused()) this.scroller.focus({ preventScroll: true });
    button.hidden = !shown;
  }
}
