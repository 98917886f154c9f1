import { dayKey, dayName } from '../text/format.js';

/** Messages of one author within this time stand under one header. */
const GROUP_MS = 5 * 60_000;

/**
 * What a timeline shows, one beneath the other.
 * @typedef {{kind: 'start', key: string, channel: import('../core/channel.js').Channel, about: string}
 *   | {kind: 'day', key: string, label: string}
 *   | {kind: 'new', key: string}
 *   | {kind: 'note', key: string, note: import('../core/protocol.js').Note, names: string}
 *   | {kind: 'message', key: string, message: import('../core/protocol.js').Message, first: boolean, author: import('../core/protocol.js').User,
 *      quote: ?import('../core/protocol.js').Message | undefined,
 *      state: 'uploading' | 'pending' | 'failed' | 'sent' | 'leaving' | null, error: ?{code: string, message: string}}} Row
 */

/**
 * @param {{messages: import('../core/protocol.js').Message[], pending: import('../core/outbox.js').Entry[],
 *   user: import('../core/protocol.js').User, dividerSeq: ?number, heads: Set<number>,
 *   start: ?import('../core/channel.js').Channel, now: Date, isLeaving?: (seq: number) => boolean, notes?: import('../core/protocol.js').Note[],
 *   nameOf?: (user: import('../core/protocol.js').User) => import('../core/protocol.js').User,
 *   quoteOf?: (seq: number) => ?import('../core/protocol.js').Message | undefined}} timeline
 *   `notes` stand between the messages, oldest first; `nameOf` is somebody as they are called now; `heads` are messages that keep their header whatever comes above them;
 *   `start` is the channel when the first message there is belongs to the rows.
 * @returns {Row[]}
 */
export function buildRows({
  messages,
  pending,
  user,
  dividerSeq,
  heads,
  start,
  now,
  notes = [],
  nameOf = (author) => author,
  isLeaving = () => false,
  quoteOf = () => null,
}) {
  /** @type {Row[]} */
  const rows = start ? [{ kind: 'start', key: 'start', channel: start, about: `${start.title} ${start.topic}` }] : [];
  let day = '';
  /** @type {any} */
  let above = null;
  let divided = false;
  const begin = (at) => {
    if (Number.isNaN(at.getTime()) || dayKey(at) === day) return;
    day = dayKey(at);
    rows.push({ kind: 'day', key: `day ${day}`, label: dayName(at, now) });
    above = null;
  };
  const waiting = [...notes];
  const noteUpTo = (seq) => {
    while (waiting.length > 0 && waiting[0].seq < seq) {
      const note = /** @type {import('../core/protocol.js').Note} */ (waiting.shift());
      begin(new Date(note.at));
      const names = [note.by, note.user].map((user) => user && nameOf(user).name).join();
      rows.push({ kind: 'note', key: `note ${note.seq}`, note, names });
      above = null;
    }
  };
  const add = (message, state, error) => {
    const at = new Date(message.at);
    noteUpTo(message.seq ?? Infinity);
    begin(at);
    if (!divided && dividerSeq !== null && message.seq >= dividerSeq) {
      divided = true;
      rows.push({ kind: 'new', key: 'new' });
      above = null;
    }
    const first =
      !above ||
      heads.has(message.seq) ||
      above.author.id !== message.author.id ||
      at.getTime() - Date.parse(above.at) > GROUP_MS;
    rows.push({
      kind: 'message',
      key: messageKey(message),
      message,
      first,
      author: nameOf(message.author),
      state,
      error,
      quote: message.reply_to ? quoteOf(message.reply_to) : null,
    });
    above = message;
  };
  for (const message of messages) add(message, isLeaving(message.seq) ? 'leaving' : null, null);
  noteUpTo(Infinity);
  for (const entry of pending) add(asMessage(entry, user), entry.state, entry.error);
  return rows;
}

/** A message keeps its element when its event comes: it is known by its nonce before it has a `seq`. */
export function messageKey(message) {
  return message.nonce ? `${message.author.id} ${message.nonce}` : `seq ${message.seq}`;
}

/**
 * The notes that stand between these messages, and at the end of the log.
 * @param {import('../core/channel.js').Channel} channel
 * @param {import('../core/protocol.js').Message[]} messages of those that are shown
 * @param {boolean} isLive whether the last one is the newest of the log
 */
export function notesAmong({ notes, shown }, messages, isLive) {
  const isWhole = messages[0] === shown.messages[0] && !shown.more;
  const from = isWhole ? 0 : (messages[0]?.seq ?? 0);
  const to = isLive ? Infinity : (messages.at(-1)?.seq ?? 0);
  return notes.filter(({ seq }) => seq > from && seq < to);
}

/** @param {any} one @param {any} other two of {@link Row} */
export function sameRow(one, other) {
  if (one.kind !== other.kind) return false;
  if (one.kind === 'message') {
    return (
      sameMessage(one, other) &&
      one.first === other.first &&
      one.author === other.author &&
      one.quote === other.quote &&
      one.state === other.state &&
      one.error === other.error
    );
  }
  if (one.kind === 'start') return one.channel === other.channel && one.about === other.about;
  if (one.kind === 'note') return one.note === other.note && one.names === other.names;
  return one.label === other.label;
}

/** A pending message is made anew for every drawing, but its nonce and its text stand for it. */
function sameMessage(one, other) {
  if (one.state === null || other.state === null) return one.message === other.message;
  return one.message.nonce === other.message.nonce && one.message.text === other.message.text;
}

function asMessage(entry, author) {
  return {
    seq: null,
    author,
    at: new Date(entry.at).toISOString(),
    text: entry.text,
    nonce: entry.nonce,
    reply_to: entry.reply_to,
    mentions: entry.mentions ?? [],
    attachments: entry.attachments,
    uploads: entry.uploads,
    edited_at: null,
    deleted: false,
    reactions: [],
  };
}
