/** The message that is being read: the first one in sight, and where it stands. It stays there whatever is laid out anew around it. */
export class Anchor {
  #seq = '';
  /** Where it stands beneath the top of the frame. */
  #top = 0;
  /** Where the scroller was left, and how wide it was then. */
  #scrolledTo = 0;
  #width = 0;

  /** @param {HTMLElement} scroller @param {HTMLElement} content its rows, one beneath the other */
  constructor(scroller, content) {
    this.scroller = scroller;
    this.content = content;
  }

  /** Whether the reader has scrolled. What the browser scrolls because the text got another width is none of it. */
  get isLeft() {
    return this.scroller.scrollTop !== this.#scrolledTo && this.scroller.clientWidth === this.#width;
  }

  /** Takes the first message in sight. */
  note() {
    /** @type {ArrayLike<any>} */
    const children = this.content.children;
    const edge = topOf(this.scroller);
    let low = 0;
    let high = children.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (children[middle].getBoundingClientRect().bottom <= edge) low = middle + 1;
      else high = middle;
    }
    while (low < children.length && !children[low].dataset.seq) low += 1;
    this.hold(children[low]);
  }

  /** Takes a message, where it stands now. @param {any} element */
  hold(element) {
    this.#seq = element?.dataset.seq ?? '';
    this.#top = element ? topOf(element) - this.#origin : 0;
    this.#left();
  }

  /** Brings the message back to where it stood; it is looked up anew, as it may have been drawn again. */
  restore() {
    const { scroller } = this;
    if (scroller.clientHeight === 0) return;
    const element = this.#seq && this.content.querySelector(`[data-seq="${this.#seq}"]`);
    if (!element) return this.note();
    const moved = topOf(element) - this.#origin - this.#top;
    if (Math.abs(moved) >= 0.5) scroller.scrollTop += moved;
    this.#left();
  }

  #left() {
    this.#scrolledTo = this.scroller.scrollTop;
    this.#width = this.scroller.clientWidth;
  }

  /** The frame holds what comes and goes above the messages, and a page can scroll the frame as a whole. */
  get #origin() {
    return topOf(this.scroller.closest('.pane, .room') ?? this.scroller);
  }
}

/** @param {Element} element */
function topOf(element) {
  return element.getBoundingClientRect().top;
}
