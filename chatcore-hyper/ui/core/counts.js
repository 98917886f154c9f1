import { readHistory } from './history.js';
import { list, readChannelInfo } from './protocol.js';

/** The pause between one page and the next, which leaves the connection's pace to other commands. */
const SEARCH_EVERY_MS = 250;

/**
 * What is unread: asks the server for the counts where they can't be told here, and for the unread messages of a channel in
 * the background, to find mentions.
 */
export class Counts {
  #asking = false;
  /** Whether the list of channels is on its way. */
  pending = false;
  /** Whether more went by uncounted while the counts were on their way. */
  #again = false;
  /** Whether the archived ones are asked for, too. */
  #archived = false;
  /** Channels whose unread messages are on their way. @type {Set<string>} */
  #searching = new Set();
  /** Channels that are searched one after the other. @type {Set<import('./channel.js').Channel>} */
  #queue = new Set();

  /**
   * @param {{request: (type: string, fields?: object) => Promise<any>, reads: import('./read-marker.js').ReadMarker,
   *   retries: import('./retries.js').Retries, onCounts: (channels: import('./protocol.js').ChannelInfo[]) => boolean, onChange: () => void,
   *   onSearched: (channel: import('./channel.js').Channel, messages: import('./protocol.js').Message[]) => void}} options
   *   `onCounts` takes the list of channels and returns whether something is uncounted even so; `onSearched` takes messages that
   *   were searched for mentions, and `onChange` is told then
   */
  constructor({ request, reads, retries, onCounts, onChange, onSearched }) {
    this.onSearched = onSearched;
    this.request = request;
    this.reads = reads;
    this.retries = retries;
    this.onCounts = onCounts;
    this.onChange = onChange;
  }

  /** Asks for the counts; where they are on their way and don't suffice, once more after them. @param {boolean} [archived] whether once of archived channels, too */
  async refresh(archived = false) {
    this.#again = true;
    this.#archived ||= archived;
    if (this.#asking) return;
    this.#asking = true;
    try {
      while (this.#again) await this.#ask();
    } finally {
      this.#asking = false;
    }
  }

  async #ask() {
    this.#again = false;
    // What was read here is told first, so that it is not counted.
    this.reads.flush();
    let channels;
    const archived = this.#archived;
    this.#archived = false;
    this.pending = true;
    try {
      channels = await this.#list(archived);
    } catch (error) {
      this.pending = false;
      this.#archived ||= archived;
      this.onChange();
      return this.retries.later('channels', error, () => this.refresh());
    }
    this.pending = false;
    if (!this.onCounts(channels) && !this.#archived) this.#again = false;
  }

  /** Reads the list of channels, a page at a time. @param {boolean} archived */
  async #list(archived) {
    const channels = [];
    for (let after; ; ) {
      const answer = await this.request(
        'channels',
        (after || archived) && { ...(after && { after }), ...(archived && { archived }) },
      );
      channels.push(...list(answer.channels, readChannelInfo));
      if (answer.more !== true || typeof answer.after !== 'string' || answer.after === after) return channels;
      after = answer.after;
    }
  }

  /** Finds the mentions in what is unread; a channel with nothing new costs nothing. @param {import('./channel.js').Channel} channel */
  async findMentions(channel) {
    const { name } = channel;
    if (this.#searching.has(name)) return;
    this.#searching.add(name);
    try {
      for (let page = channel.unseen; page; page = channel.unseen) {
        const { messages } = await readHistory(this.request, name, { ...page, from: channel.read + 1 });
        channel.noteMentions(messages, page.before);
        this.onSearched(channel, messages);
        this.onChange();
        if ((channel.unseen?.before ?? Infinity) <= channel.head) await this.#pause();
      }
    } catch (error) {
      this.retries.later(`history ${name}`, error, () => this.findMentions(channel));
    } finally {
      this.#searching.delete(name);
    }
  }

  /** Finds the mentions in channels that nobody follows, one after the other. @param {import('./channel.js').Channel[]} channels */
  async findMentionsSlowly(channels) {
    const isRunning = this.#queue.size > 0;
    for (const channel of channels) if (channel.unseen) this.#queue.add(channel);
    if (isRunning) return;
    for (const channel of this.#queue) {
      await this.findMentions(channel);
      await this.#pause();
      this.#queue.delete(channel);
    }
  }

  #pause() {
    return new Promise((resolve) => this.retries.clock.setTimeout(() => resolve(undefined), SEARCH_EVERY_MS));
  }
}
