import { list, readMessage } from './protocol.js';

/** @typedef {import('./protocol.js').Message} Message */

/**
 * A run of a channel's messages, oldest first and without a gap. Messages are never changed in place.
 */
export class Segment {
  /** @param {Message[]} [messages] @param {boolean} [more] whether older ones exist before it @param {number} [to] up to which seq it is whole */
  constructor(messages = [], more = false, to = messages.at(-1)?.seq ?? 0) {
    this.messages = messages;
    this.more = more;
    this.to = to;
  }

  /** Reads a page of `history` that was asked for with `before`. @param {any} answer @param {number} before */
  static of(answer, before) {
    return new Segment(list(answer.messages, readMessage), answer.more === true, before - 1);
  }

  /** The place of the first message with at least this `seq`. @param {number} seq */
  indexOf(seq) {
    let low = 0;
    let high = this.messages.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.messages[middle].seq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** @param {number} seq @returns {Message | undefined} */
  message(seq) {
    const found = this.messages[this.indexOf(seq)];
    return found?.seq === seq ? found : undefined;
  }

  /** Whether it is whole at a position. @param {number} seq */
  has(seq) {
    const newest = this.messages.at(-1)?.seq ?? 0;
    return seq <= Math.max(this.to, newest) && (!this.more || this.messages[0]?.seq <= seq);
  }

  /** Whether nothing lies between this one and a later one. @param {Segment} later */
  reaches(later) {
    return later.messages.length > 0 && this.to >= later.messages[0].seq - 1;
  }

  /** Puts the page before in front. @param {Segment} page */
  prepend(page) {
    const oldest = this.messages[0]?.seq ?? Infinity;
    const older = page.messages.filter((message) => message.seq < oldest);
    this.messages.unshift(...older);
    this.more = page.more && older.length > 0;
  }

  /** Puts what comes after at the end. @param {Segment} later */
  append(later) {
    const newest = this.messages.at(-1)?.seq ?? 0;
    this.messages.push(...later.messages.filter((message) => message.seq > newest));
    this.to = Math.max(this.to, later.to);
  }

  /** @param {number} target @param {(message: Message) => Message} change */
  change(target, change) {
    const at = this.indexOf(target);
    if (this.messages[at]?.seq === target) this.messages[at] = change(this.messages[at]);
  }
}
