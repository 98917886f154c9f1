import { PAGE } from './channel.js';
import { readHistory } from './history.js';

/** @typedef {import('./channel.js').Channel} Channel */

/** Moves what is shown of a channel through its log, a page of `history` at a time. */
export class Pages {
  /** What is on its way, each page once however often it is asked for. @type {Map<string, Promise<void>>} */
  #running = new Map();

  /** @param {{request: (type: string, fields: object) => Promise<any>, onChange: (name: string) => void}} options */
  constructor({ request, onChange }) {
    this.request = request;
    this.onChange = onChange;
  }

  /** Fetches the page before the oldest message shown. @param {Channel} channel @returns {Promise<void>} */
  async older(channel) {
    const { messages, more } = channel.shown;
    if (more && messages.length > 0) await this.#page(channel, messages[0].seq, 'older');
  }

  /** Fetches the page after the newest message shown, where that is one of the past. @param {Channel} channel @returns {Promise<void>} */
  async newer(channel) {
    if (channel.past) await this.#page(channel, channel.past.to + PAGE + 1, 'newer');
  }

  /**
   * Makes the messages around one those that are shown.
   * @param {Channel} channel
   * @param {number} seq
   * @returns {Promise<boolean>} whether there is such a message
   */
  async around(channel, seq) {
    if (channel.live.message(seq)) this.live(channel);
    else if (!channel.past?.message(seq)) {
      if (seq > channel.head) return false;
      return this.#fetchAround(channel, seq, (messages) => messages.some((message) => message.seq === seq));
    }
    return true;
  }

  /** Makes the messages around a position those that are shown. @param {Channel} channel @param {number} seq of a message or of another event */
  async at(channel, seq) {
    if (channel.live.has(seq)) this.live(channel);
    else if (!channel.past?.has(seq)) await this.#fetchAround(channel, seq, () => true);
  }

  async #fetchAround(channel, seq, isFound) {
    const before = seq + PAGE / 2;
    const answer = await readHistory(this.request, channel.name, { before, limit: PAGE, from: seq });
    if (!channel.loaded || !isFound(answer.messages)) return false;
    channel.addPage(answer, before, 'around');
    this.onChange(channel.name);
    return true;
  }

  /** Shows the newest messages again. @param {Channel} channel */
  live(channel) {
    if (!channel.past) return;
    channel.past = null;
    this.onChange(channel.name);
  }

  #page(channel, before, place) {
    const key = `${channel.name} ${place} ${before}`;
    const running =
      this.#running.get(key) ?? this.#fetch(channel, before, place).finally(() => this.#running.delete(key));
    this.#running.set(key, running);
    return running;
  }

  async #fetch(channel, before, place) {
    const { shown } = channel;
    const edge = () => (place === 'older' ? shown.messages[0]?.seq : shown.to);
    const was = edge();
    const from = place === 'older' ? before : shown.to + 1;
    const answer = await readHistory(this.request, channel.name, { before, limit: PAGE, from });
    // Meanwhile something else may be shown.
    if (channel.shown !== shown || edge() !== was) return;
    channel.addPage(answer, before, place);
    this.onChange(channel.name);
  }
}
