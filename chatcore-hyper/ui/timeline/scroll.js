import { Anchor } from './anchor.js';

/** A reader within this distance of the end stays at the end. */
const PINNED_PX = 100;

/** More is fetched when so much is left to scroll. */
const AHEAD_PX = 800;

/**
 * Where the reader is. Their line never moves by itself: either the end is pinned, or the first message in sight stays where it
 * is whatever is added above or below.
 */
export class Scroll {
  /** Whether the end stays in sight. */
  pinned = true;
  #lastTop = 0;
  #anchor;

  /** @param {HTMLElement} scroller @param {HTMLElement} content its rows, one beneath the other */
  constructor(scroller, content) {
    this.scroller = scroller;
    this.#anchor = new Anchor(scroller, content);
  }

  /** Forgets the message that was read. @param {boolean} pinned */
  reset(pinned) {
    this.pinned = pinned;
    this.#anchor.hold(null);
  }

  /** Takes the message that is read now, before the rows change. */
  note() {
    if (!this.pinned && this.#anchor.isLeft) this.#anchor.note();
  }

  /** After something was drawn or got another size: the end stays in sight, or the message that is read where it is. */
  settle() {
    if (this.pinned) return this.toEnd();
    this.#anchor.restore();
    return this.#left();
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#left();
  }

  /** Brings a line near to the top, unless it is in sight from the end. @param {Element} line @param {boolean} live whether the end is on the page */
  toLine(line, live) {
    this.toEnd();
    const { top, height } = this.scroller.getBoundingClientRect();
    const above = top - line.getBoundingClientRect().top;
    this.pinned = above <= 0 && live;
    if (!this.pinned) this.scroller.scrollTop -= above + height / 5;
    this.#anchor.hold(line.nextElementSibling);
    this.#left();
  }

  /** Brings a message to the middle. @param {Element} element @param {boolean} live whether the end is on the page */
  toMessage(element, live) {
    element.scrollIntoView({ block: 'center' });
    this.#anchor.hold(element);
    // Where all fits, nothing scrolls, and the end is in sight.
    this.#left();
    if (live && this.#distance <= PINNED_PX) this.pinned = true;
  }

  /** The reader may have scrolled. @param {boolean} live whether the end is on the page @returns {boolean} whether they did */
  moved(live) {
    const top = this.scroller.scrollTop;
    if (top === this.#lastTop) return false;
    if (!this.pinned && !this.#anchor.isLeft) {
      this.settle();
      return false;
    }
    // Only a reader who goes up lets go of the end; content that grows below does not.
    if (this.#distance <= PINNED_PX && live) this.pinned = true;
    else if (top < this.#lastTop) this.pinned = false;
    this.#lastTop = top;
    if (!this.pinned) this.#anchor.note();
    return true;
  }

  /** Whether older messages are due: the reader comes to them, or there are too few to scroll. */
  get wantsOlder() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const isShort = clientHeight > 0 && scrollHeight - clientHeight <= PINNED_PX;
    return isShort || (scrollTop < AHEAD_PX && !this.pinned);
  }

  /** Whether newer messages are due, where there are any. */
  get wantsNewer() {
    return this.#distance < AHEAD_PX;
  }

  get #distance() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight;
  }

  #left() {
    this.#lastTop = this.scroller.scrollTop;
  }
}
