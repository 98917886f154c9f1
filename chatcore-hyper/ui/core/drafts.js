import { firstLine } from '../text/markdown.js';
import { pageStorage } from './storage.js';

/** What begins a draft that is more than text; earlier versions kept the text alone. */
const MARK = '{"draft":';

/**
 * What somebody has begun to write in a channel: the next message, which may be a reply, and one's own message under change.
 * `lost` are the names of files that were not yet uploaded when it was kept.
 * @typedef {{text: string, reply: ?Message, edit: ?{message: Message, text: string},
 *   files: import('./protocol.js').Attachment[], lost: string[]}} Draft
 * @typedef {import('./protocol.js').Message} Message
 */

/** @type {Draft} */
const EMPTY = { text: '', reply: null, edit: null, files: [], lost: [] };

/**
 * The drafts of one user, by channel. They outlive a reload, each tab's its own; a tab without one in a channel takes up the
 * newest of all tabs.
 */
export class Drafts {
  /** What this tab writes. @type {Map<string, Draft>} */
  #own = new Map();
  /** What is on its way, as it is kept: it is no draft any more, but stays until the outbox has it. @type {Map<string, string>} */
  #sent = new Map();
  /** Called with the channel whose draft another tab has sent or given up. @type {(channel: string) => void} */
  onGone = () => {};

  /** @param {?Storage} storage of all tabs @param {string} userId @param {?Storage} [tab] of this one */
  constructor(storage, userId, tab = pageStorage('sessionStorage')) {
    this.storage = storage;
    this.tab = tab;
    this.prefix = `chatcore.draft.${userId}.`;
  }

  /** @param {string} channel @returns {Draft} */
  get(channel) {
    return this.#own.get(channel) ?? read(this.#kept(this.tab, channel) ?? this.#kept(this.storage, channel));
  }

  /** @param {string} channel @param {Partial<Draft>} change */
  set(channel, change) {
    const before = this.get(channel);
    const draft = { ...before, ...change };
    const kept = written(draft);
    if (kept === written(before)) return;
    if (kept !== '' || this.#sent.has(channel)) this.#own.set(channel, draft);
    else this.#own.delete(channel);
    this.#keep(this.tab, channel, kept);
    // An empty one does not take the place of another tab's.
    if (kept !== '' || this.#kept(this.storage, channel) === written(before)) this.#keep(this.storage, channel, kept);
  }

  /** The draft is a message now. @param {string} channel */
  sent(channel) {
    this.#sent.set(channel, written(this.get(channel)));
    this.#own.set(channel, EMPTY);
  }

  /** The message is where it can't be lost. @param {string} channel */
  kept(channel) {
    const sent = this.#sent.get(channel);
    for (const storage of sent === undefined ? [] : [this.tab, this.storage]) {
      if (this.#kept(storage, channel) === sent) this.#keep(storage, channel, '');
    }
    this.#sent.delete(channel);
    if (written(this.get(channel)) === '') this.#own.delete(channel);
  }

  /** Another tab has kept or removed something. @param {{key: ?string, oldValue: ?string, newValue: ?string}} change */
  heard({ key, oldValue, newValue }) {
    if (!key?.startsWith(this.prefix) || newValue !== null) return;
    const channel = key.slice(this.prefix.length);
    const own = written(this.get(channel));
    // It was another draft than this tab's, which is the newest now.
    if (own !== '' && own !== oldValue) return this.#keep(this.storage, channel, own);
    this.#own.delete(channel);
    this.#keep(this.tab, channel, '');
    this.onGone(channel);
  }

  clear() {
    this.#own.clear();
    for (const storage of [this.tab, this.storage]) {
      for (const key of Object.keys(storage ?? {})) {
        if (key.startsWith(this.prefix)) storage?.removeItem(key);
      }
    }
  }

  /** @returns {?string} */
  #kept(storage, channel) {
    return storage?.getItem(this.prefix + channel) ?? null;
  }

  #keep(storage, channel, kept) {
    try {
      if (kept === '') storage?.removeItem(this.prefix + channel);
      else storage?.setItem(this.prefix + channel, kept);
    } catch {
      // A full storage: this page has it still.
    }
  }
}

/** @param {?string} kept @returns {Draft} */
function read(kept) {
  if (!kept?.startsWith(MARK)) return { ...EMPTY, text: kept ?? '' };
  try {
    return { ...EMPTY, ...JSON.parse(kept).draft };
  } catch {
    return { ...EMPTY, text: kept };
  }
}

/** @param {Draft} draft @returns {string} as it is kept; empty for an empty one */
function written({ text, reply, edit, files, lost }) {
  if (!reply && !edit && files.length === 0 && lost.length === 0) return text;
  return JSON.stringify({
    draft: {
      text,
      reply: reply && shortened(reply),
      edit: edit && { ...edit, message: shortened(edit.message) },
      files,
      lost,
    },
  });
}

/** As much of a message as the composer shows of it. @param {Message} message @returns {Message} */
function shortened(message) {
  return { ...message, text: firstLine(message).slice(0, 140), reactions: [] };
}
