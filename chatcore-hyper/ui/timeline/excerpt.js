/** The most messages in the document. */
export const WINDOW = 500;

/** How far the window is moved when its edge comes near. */
export const STEP = 100;

/** @typedef {import('../core/segment.js').Segment} Segment */

/** Which messages of a segment are in the document: a window that moves over it. */
export class Excerpt {
  /** From this seq … @type {number} */
  #from = 0;
  /** … to this one, or to the newest. @type {number} */
  #to = Infinity;
  /** Whether all messages are in the document, as on paper. */
  whole = false;

  /** Whether it goes on to the newest message. */
  get endless() {
    return this.#to === Infinity;
  }

  /** Goes back to the end. */
  reset() {
    this.#from = 0;
    this.#to = Infinity;
  }

  /** The messages in the window. @param {Segment} segment @param {boolean} pinned whether it stays at the end */
  of(segment, pinned) {
    const { messages } = segment;
    if (this.whole) return messages;
    // A log that begins anew has none of those that were read.
    if (segment.indexOf(this.#from) === segment.indexOf(this.#to + 1)) this.reset();
    if (messages.length > WINDOW) this.#fit(segment, pinned);
    return messages.slice(segment.indexOf(this.#from), segment.indexOf(this.#to + 1));
  }

  /** Keeps the window within its bound: the end gives way while older ones are read, the beginning while the end is. */
  #fit(segment, pinned) {
    const { messages } = segment;
    if (pinned) {
      this.#to = Infinity;
      this.#from = messages.at(-WINDOW).seq;
      return;
    }
    this.#from = Math.max(this.#from, messages[0].seq);
    const last = messages[segment.indexOf(this.#from) + WINDOW - 1];
    if (last?.seq < Math.min(this.#to, messages.at(-1).seq)) this.#to = last.seq;
  }

  /** Moves the window so that a message is in its middle. @param {Segment} segment @param {number} seq */
  center(segment, seq) {
    const at = segment.indexOf(seq);
    this.#show(segment, at - WINDOW / 2 + 1, at + WINDOW / 2);
  }

  /** Lets older messages in. @param {Segment} segment @returns {boolean} false where there are none but those to come */
  older(segment) {
    const start = segment.indexOf(this.#from);
    this.#from = start > 0 ? segment.messages[Math.max(0, start - STEP)].seq : 0;
    return start > 0;
  }

  /** Lets newer messages in again that gave way to older ones. @param {Segment} segment */
  newer(segment) {
    const end = segment.indexOf(this.#to + 1) + STEP;
    this.#show(segment, Math.min(segment.messages.length, end) - WINDOW, end);
  }

  #show({ messages }, start, end) {
    this.#from = messages[Math.max(0, start)].seq;
    this.#to = end < messages.length ? messages[end - 1].seq : Infinity;
  }
}
