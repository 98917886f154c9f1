import { mentionsName } from '../text/mentions.js';
import { ChannelProfile } from './channel-profile.js';
import { GROUPS } from './people.js';
import { isSeq, list, readMessage, readNote, readUser, userId } from './protocol.js';
import { react } from './reactions.js';
import { Segment } from './segment.js';

/** The most messages of one channel kept in memory; older ones are fetched again when they are read. */
export const MAX_MESSAGES = 5000;

/** A page of messages, which is also what stays of a channel when it is left. */
export const PAGE = 100;

/** How far back in the log mentions are searched for; the server counts what is unread no further. */
const MAX_SEARCHED = 1000;

/** The most people of a channel that the server lists as online; more may be there. */
export const MAX_LISTED = 1000;

/** The most mentions of one channel that are counted. */
const MAX_MENTIONS = 100;

/** How long "is typing" is believed without being said again. */
export const TYPING_MS = 6000;

/** @typedef {import('./protocol.js').Message} Message */

/** A server of an earlier version says no check. @returns {import('./protocol.js').Position} */
function positionAt(epoch, seq, check) {
  return typeof check === 'string' ? { epoch, seq, check } : { epoch, seq };
}

/**
 * One channel as this client knows it: its log up to a position, folded into messages, and what is unread.
 * Messages are never changed in place, so a view may compare them by identity.
 */
export class Channel extends ChannelProfile {
  head = 0;
  read = 0;
  unread = 0;
  /** Whether it was marked as unread, so that to have it in sight is not to read it. */
  held = false;
  /** Unread messages that mention the signed-in user, as far back as they are known here and not counted by the server. @type {number[]} */
  mentions = [];
  /** How many the server has counted; null if it counts none. @type {?number} */
  #toldMentions = null;
  /** Up to where the log is known. @type {?import('./protocol.js').Position} */
  position = null;
  /** Whether messages are kept, or only the counts of a channel in the background. */
  loaded = false;
  /** The newest messages, up to the end of the log. */
  live = new Segment();
  /** Older messages that are read now, with a gap between them and the live ones. @type {?Segment} */
  past = null;
  /** Those online. @type {Map<string, import('./protocol.js').User>} */
  members = new Map();
  /** Who is typing, until when. @type {Map<string, {user: import('./protocol.js').User, until: number}>} */
  typing = new Map();
  /** Whether messages went by that `unread` has not counted, and only the server can tell. */
  uncounted = false;
  /** `unread` counts no message up to this one again. */
  #countedTo = 0;
  /** The head of the log when the server counted. */
  #toldTo = 0;
  /** From where on every event of the log came by here. */
  #seenFrom = 0;
  /** The newest messages that were counted here, and not by the server. @type {number[]} */
  #counted = [];
  /** The newest deletions of unread messages, which an answer of before them still counts. @type {{seq: number, target: number}[]} */
  #struck = [];
  /** Up to where a deletion may have been of something unread. */
  #unclearTo = 0;
  /** From where on all that is unread was searched for mentions. */
  #searchedFrom = Infinity;
  /** Up to where messages were told of as new. @type {?number} */
  #heardTo = null;

  /** Whether the server counts mentions, and knows who is a member of what. */
  get isTold() {
    return this.#toldMentions !== null;
  }

  /** How many unread messages mention the signed-in user. */
  get mentionCount() {
    return (this.#toldMentions ?? 0) + this.mentions.length;
  }

  /** Whether it belongs into the user's list: an open one that they have not joined does if it is new, or mentions them. */
  get isListed() {
    return !this.archived && (this.isJoined || this.isNews || this.mentionCount > 0);
  }

  /** Whether what is new is worth a mark. All that is new in a direct channel is for the user. */
  get isNoticed() {
    const wants = this.notify === 'all' || this.kind === 'direct' || this.mentionCount > 0;
    return this.unread > 0 && this.isListed && !this.isMuted && wants;
  }

  /** The newest messages, oldest first. */
  get messages() {
    return this.live.messages;
  }

  /** What is read now: the live end of the log, or a segment of its past. */
  get shown() {
    return this.past ?? this.live;
  }

  /** A message that is kept here. @param {number} seq */
  message(seq) {
    return this.live.message(seq) ?? this.past?.message(seq);
  }

  /** Takes over what the directory says. @param {import('./protocol.js').ChannelInfo} info */
  applyInfo(info) {
    this.describe(info);
    this.#heardTo ??= info.head;
    // What is not followed goes on where nothing was searched.
    if (!this.position && info.head > this.head) this.#searchedFrom = Infinity;
    this.head = Math.max(this.head, info.head);
    // What was read here just now may not have reached the server when it answered; an older answer than the last has less.
    if (info.read < this.read || info.head < this.#toldTo) return;
    this.read = info.read;
    this.#toldTo = info.head;
    this.#countedTo = Math.max(this.#countedTo, info.head);
    // A message may overtake the answer that does not count it yet.
    const overtaken = this.#counted.filter((seq) => seq > info.head).length;
    const struck = this.#struck.filter(
      ({ seq, target }) => seq > info.head && target <= info.head && target > info.read,
    ).length;
    this.unread = Math.max(0, info.unread + overtaken - struck);
    this.uncounted = info.head < Math.max(this.#seenFrom, this.#unclearTo);
    this.#toldMentions = info.mentions;
    this.#forgetMentions();
    // A mention that is no longer kept is not unread either.
    if (this.unread === 0) this.#forgetMentions(Infinity);
  }

  /**
   * Takes over the counts that the server tells by itself.
   * @param {{unread: number, mentions: number}} counts
   * @returns {boolean} false if they are of another state than this client's, so that the list of channels must tell
   */
  takeCounts({ unread, mentions }) {
    // What was read here the server will hear.
    if (this.position && this.read >= this.head) return true;
    if (this.position && unread !== this.unread) return false;
    this.unread = unread;
    this.#toldTo = this.head;
    this.#forgetMentions();
    this.#toldMentions = mentions;
    return true;
  }

  /** The newest messages that are unread and were not searched for mentions, as `history` is asked for them. */
  get unseen() {
    const { head, read } = this;
    if (this.unread === 0 || head <= read || (this.isTold && this.position)) return null;
    const before = Math.min(this.#searchedFrom, head + 1);
    // Of somebody new the newest page is counted.
    const isDone = before <= head && (read === 0 || before <= read + 1 || before <= head - MAX_SEARCHED);
    return isDone ? null : { before, limit: Math.min(PAGE, before - 1 - read) };
  }

  /**
   * Notes which of the messages are mentions; what came after them was noted as it came.
   * @param {Message[]} messages
   * @param {number} before what was asked for
   */
  noteMentions(messages, before) {
    const later = this.mentions.filter((seq) => seq >= before);
    this.mentions = [];
    this.#meet(messages);
    for (const message of messages) this.#noteMention(message.seq, message.author.id, message);
    this.mentions = [...this.mentions, ...later].slice(-MAX_MENTIONS);
    const isWhole = before > this.#seenFrom || before === this.#searchedFrom;
    this.#searchedFrom = isWhole ? (messages[0]?.seq ?? 0) : Infinity;
  }

  /** Those of the messages that are unread and were not told of. @param {Message[]} messages @returns {Message[]} */
  hear(messages) {
    const from = Math.max(this.#heardTo ?? Infinity, this.read);
    const fresh = messages.filter(({ seq }) => seq > from);
    if (fresh.length > 0) this.#heardTo = /** @type {Message} */ (fresh.at(-1)).seq;
    return fresh;
  }

  /**
   * Takes over the answer to `subscribe`.
   * @param {any} answer
   * @param {boolean} load whether messages were asked for
   * @returns {Message[]} those that were not known before
   */
  subscribed(answer, load) {
    if (typeof answer.epoch !== 'string' || !Number.isSafeInteger(answer.head)) return [];
    this.members = new Map(list(answer.members, readUser).map((user) => [user.id, user]));
    for (const user of this.members.values()) this.names.add(user);
    const resumes = answer.reset === false && load && this.loaded;
    const fresh = resumes ? this.#resume(answer) : this.#restart(answer, load);
    this.position = positionAt(answer.epoch, answer.head, answer.check);
    this.head = answer.head;
    if (load || (this.#heardTo ?? Infinity) > answer.head) this.#heardTo = answer.head;
    return fresh;
  }

  #resume(answer) {
    const fresh = [];
    const position = /** @type {import('./protocol.js').Position} */ (this.position);
    for (const event of Array.isArray(answer.events) ? answer.events : []) {
      if (isSeq(event?.seq) && event.seq > position.seq) fresh.push(...this.#fold(event));
    }
    return fresh;
  }

  /** Whether an answer is of another log than what is known: one of its own, or this one put back to what it was. */
  #isOther({ epoch, head, check }) {
    const known = /** @type {import('./protocol.js').Position} */ (this.position);
    const differs = known.check && check && known.check !== check;
    return known.epoch !== epoch || known.seq > head || (known.seq === head && Boolean(differs));
  }

  #restart(answer, load) {
    if (this.position && this.#isOther(answer)) {
      // Another log under the same name: nothing that was known of the old one holds.
      this.read = 0;
      this.unread = 0;
      this.mentions = [];
      this.#toldMentions &&= 0;
      this.notes = [];
      this.#countedTo = 0;
      this.#toldTo = 0;
      this.#counted = [];
      this.#struck = [];
      this.#unclearTo = 0;
    }
    // Nothing has happened since where the log is as long as it was.
    if (this.position?.epoch !== answer.epoch || this.position?.seq !== answer.head) {
      this.#searchedFrom = Infinity;
      this.#seenFrom = answer.head;
      if (answer.head > Math.max(this.#countedTo, this.read)) this.uncounted = true;
    }
    this.loaded = load;
    const messages = list(answer.messages, readMessage);
    // How long a page is the server decides, and a log may begin later than at 1: the next page tells.
    this.live = load ? new Segment(messages, messages.length > 0 && messages[0].seq > 1) : new Segment();
    // What became of older ones meanwhile is not known.
    this.past = null;
    if (load) this.noteMentions(messages, answer.head + 1);
    return messages;
  }

  /**
   * Takes the log's next event.
   * @param {any} event
   * @returns {{result: 'applied' | 'known' | 'gap', fresh: Message[]}}
   */
  apply(event) {
    if (!this.position || event.seq <= this.position.seq) return { result: 'known', fresh: [] };
    if (event.seq > this.position.seq + 1) return { result: 'gap', fresh: [] };
    this.position = positionAt(this.position.epoch, event.seq, event.check);
    this.#heardTo = event.seq;
    this.head = event.seq;
    return { result: 'applied', fresh: this.#fold(event) };
  }

  /** @returns {Message[]} */
  #fold(event) {
    const fresh = event.type === 'message' ? this.#append(event) : [];
    if (event.type === 'edited' && typeof event.text === 'string') {
      const before = this.message(event.target);
      const mentions = Array.isArray(event.mentions) ? event.mentions.map(String) : (before?.mentions ?? []);
      this.#noteMention(event.target, userId(event.by), { text: event.text, mentions });
      this.change(event.target, (message) => ({
        ...message,
        text: event.text,
        mentions,
        edited_at: String(event.at),
      }));
    } else if (event.type === 'deleted') {
      this.#noteMention(event.target, null, { text: '', mentions: [] });
      this.#strike(event.seq, event.target);
      this.change(event.target, (message) => ({ ...message, text: '', attachments: [], reactions: [], deleted: true }));
    } else if (event.type === 'reaction') {
      this.change(event.target, (message) => ({ ...message, reactions: react(message.reactions, event) }));
    } else this.addNote(readNote(event));
    this.#countedTo = Math.max(this.#countedTo, event.seq);
    return fresh;
  }

  #append(event) {
    const message = readMessage(event);
    if (!message) return [];
    const own = message.author.id === this.user().id;
    this.#meet([message]);
    this.#noteMention(message.seq, message.author.id, message);
    if (!own && !message.deleted && message.seq > this.#countedTo && message.seq > this.read) {
      this.unread += 1;
      this.#counted = [...this.#counted, message.seq].slice(-PAGE);
    }
    // Who writes in an open channel has joined it.
    if (own && !this.isJoined) this.role = 'member';
    this.typing.delete(message.author.id);
    if (this.loaded) {
      this.messages.push(message);
      if (this.messages.length > MAX_MESSAGES) {
        this.messages.shift();
        this.live.more = true;
      }
    }
    return [message];
  }

  /** Counts a message that was deleted no longer, if it was counted. @param {number} seq of the deletion @param {number} target */
  #strike(seq, target) {
    if (target <= this.read || seq <= this.#countedTo) return;
    const message = this.message(target);
    if (message?.author.id === this.user().id) return;
    const counted = this.#counted.includes(target);
    if (counted || (message && !message.deleted)) {
      this.unread = Math.max(0, this.unread - 1);
      this.#counted = this.#counted.filter((other) => other !== target);
    } else if (!message || target <= this.#toldTo) {
      // Whose it was is not known here, or whether the server counted it.
      this.#unclearTo = seq;
      this.uncounted = true;
    }
    // A page may have a message as deleted before its deletion comes, and a count from in between still has it.
    if (counted || message) this.#struck = [...this.#struck, { seq, target }].slice(-PAGE);
  }

  /**
   * Whether a message of somebody mentions the signed-in user. A server that counts mentions says whom a message mentions.
   * @param {?string} by
   * @param {{text: string, mentions: string[]}} message
   */
  isMention(by, { text, mentions }) {
    const { id, name } = this.user();
    if (by === id) return false;
    if (this.isTold) return mentions.some((one) => one === id || Object.values(GROUPS).includes(one));
    return mentionsName(text, name, this.names.all);
  }

  #meet(messages) {
    for (const { author } of messages) this.names.meet(author);
  }

  #noteMention(seq, by, message) {
    const others = this.mentions.filter((mention) => mention !== seq);
    const counts = seq > this.read && this.isMention(by, message);
    if (this.isTold && seq <= this.#toldTo) {
      // The server has counted what stood there before.
      const before = this.message(seq);
      const counted = before && !before.deleted && seq > this.read && this.isMention(before.author.id, before);
      if (before) this.#toldMentions = Math.max(0, (this.#toldMentions ?? 0) + Number(counts) - Number(counted));
      return;
    }
    this.mentions = counts ? [...others, seq].slice(-MAX_MENTIONS) : others;
  }

  /** @param {number} [read] */
  #forgetMentions(read = this.read) {
    this.mentions = this.mentions.filter((seq) => seq > Math.max(read, this.isTold ? this.#toldTo : 0));
    if (this.isTold && read >= this.#toldTo) this.#toldMentions = 0;
  }

  /** Shows a message otherwise. @param {number} target @param {(message: Message) => Message} change */
  change(target, change) {
    this.live.change(target, change);
    this.past?.change(target, change);
  }

  /**
   * Takes over a page of `history` and puts it where it belongs.
   * @param {any} answer
   * @param {number} before what was asked for
   * @param {'older' | 'newer' | 'around'} place as seen from what is shown
   */
  addPage(answer, before, place) {
    const page = Segment.of(answer, before);
    this.#meet(page.messages);
    const { shown } = this;
    if (place === 'older') shown.prepend(page);
    else if (place === 'newer') shown.append(page);
    else this.past = page;
    this.#mergePast();
    this.#trim(place);
  }

  /** A segment of the past that has come to the live one is a part of it. */
  #mergePast() {
    if (!this.past?.reaches(this.live)) return;
    this.live.prepend(this.past);
    this.past = null;
  }

  /** Keeps what is read within its bound; the side that is not read gives way. */
  #trim(place) {
    const { messages, more } = this.shown;
    if (messages.length <= MAX_MESSAGES) return;
    if (place === 'newer') {
      this.shown.messages = messages.slice(-MAX_MESSAGES);
      this.shown.more = true;
      return;
    }
    if (!this.past) this.live = new Segment(messages.slice(-PAGE), true);
    this.past = new Segment(messages.slice(0, MAX_MESSAGES - PAGE), more);
  }

  /** Notes that all up to `seq` is read, and counts what is left where that can be told here. @param {number} seq */
  markRead(seq) {
    if (seq <= this.read) return;
    this.read = seq;
    this.held = false;
    this.#forgetMentions();
    if (seq >= this.head) {
      this.unread = 0;
      // Where the log does not come by here, there may be more.
      this.uncounted = !this.position && seq > this.head;
    } else if (!this.#count() && this.unread > 0) {
      this.uncounted = true;
    }
  }

  /** Notes that what begins at `seq` is unread again. @param {number} seq */
  markUnread(seq) {
    this.held = true;
    if (seq > this.read) return;
    this.read = seq - 1;
    this.#searchedFrom = Infinity;
    this.uncounted = !this.#count();
    if (this.loaded) this.noteMentions(this.messages, this.head + 1);
  }

  /** Counts what is unread, if the messages are here. @returns {boolean} whether they are */
  #count() {
    if (!this.loaded || !(this.messages[0]?.seq <= this.read + 1)) return false;
    this.uncounted = false;
    const unread = this.messages
      .slice(this.live.indexOf(this.read + 1))
      .filter(({ author, deleted }) => author.id !== this.user().id && !deleted);
    this.unread = unread.length;
    if (this.isTold) {
      const mentions = unread.filter((message) => this.isMention(message.author.id, message)).map(({ seq }) => seq);
      this.mentions = mentions.filter((seq) => seq > this.#toldTo).slice(-MAX_MENTIONS);
      this.#toldMentions = mentions.length - this.mentions.length;
    }
    // The list may have counted what the log has yet to bring.
    this.#countedTo = /** @type {import('./protocol.js').Position} */ (this.position).seq;
    return true;
  }

  /** Lets go of all but the newest messages. */
  shrink() {
    this.past = null;
    if (this.messages.length > PAGE) this.live = new Segment(this.messages.slice(-PAGE), true);
  }

  /** The log comes by here no longer: what is new the server tells. */
  unfollow() {
    this.position = null;
    this.members.clear();
  }

  /** Lets go of the messages; only counts are kept. */
  unload() {
    this.loaded = false;
    this.live = new Segment();
    this.past = null;
    // Beside somebody's name stands whether they are there.
    if (this.kind !== 'direct') this.members.clear();
    this.typing.clear();
  }

  /** @param {any} event `presence` */
  setPresence(event) {
    const user = readUser(event.user);
    if (!user) return;
    this.names.add(user);
    if (event.online === true) {
      this.members.set(user.id, user);
    } else {
      this.members.delete(user.id);
      this.typing.delete(user.id);
    }
  }
}
