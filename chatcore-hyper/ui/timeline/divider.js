/** The line above the first message that came while the reader looked elsewhere; it stays until all is read again. */
export class Divider {
  /** What came after this was new when it came. @type {?number} */
  #after = null;

  /** @param {() => string} userId whose own messages are never new */
  constructor(userId) {
    this.userId = userId;
  }

  clear() {
    this.#after = null;
  }

  /** Stands above a message that was marked as unread. @param {number} seq */
  put(seq) {
    this.#after = seq - 1;
  }

  /** The position after which the new begins. */
  get after() {
    return this.#after;
  }

  /**
   * @param {import('../core/channel.js').Channel} channel
   * @param {number} seen the position that was drawn last; -1 before the first drawing
   * @param {boolean} watched whether the reader looks at the end
   */
  set(channel, seen, watched) {
    const first = seen < 0;
    const after = first ? channel.read : seen;
    if (first ? channel.unread === 0 : watched) return;
    const allRead = this.#after === null || channel.read >= after;
    if (allRead && this.#fresh(channel.live, after)) this.#after = after;
  }

  /** The message under it, if it is known which one that is. @param {import('../core/segment.js').Segment} shown @returns {?number} */
  seq(shown) {
    if (this.#after === null) return null;
    const whole = !shown.more || shown.messages[0]?.seq <= this.#after + 1;
    return (whole && this.#fresh(shown, this.#after)?.seq) || null;
  }

  /** The first message of somebody else after a position. */
  #fresh(segment, after) {
    const { messages } = segment;
    for (let at = segment.indexOf(after + 1); at < messages.length; at++)
      if (messages[at].author.id !== this.userId()) return messages[at];
    return undefined;
  }
}
