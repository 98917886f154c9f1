/**
 * The wire protocol, version 1, as far as a client reads it: frames become checked objects, close codes become decisions.
 * A frame that has not the promised shape is `null`: a client never fails because of what a server sends.
 *
 * @typedef {{epoch: string, seq: number, check?: string}} Position
 * @typedef {{id: string, name: string, avatar?: string, deleted?: true}} User `avatar`: the URL of a picture; `deleted`:
 *   their account was erased
 * @typedef {{id: string, name: string, size: number, content_type: string, width: ?number, height: ?number, url: string}} Attachment
 * @typedef {{emoji: string, users: string[]}} Reaction
 * @typedef {{seq: number, author: User, at: string, text: string, nonce: ?string, reply_to: ?number,
 *   attachments: Attachment[], edited_at: ?string, deleted: boolean, reactions: Reaction[], mentions: string[]}} Message
 *   `mentions` are ids of users, `@channel` and `@here`; `nonce` is null in what others wrote
 * @typedef {'open' | 'private' | 'direct'} Kind
 * @typedef {'all' | 'mentions' | 'none'} Notify
 * @typedef {{name: string, title: string, topic: string, kind: Kind, role: ?string, users: User[], members: ?number,
 *   archived: boolean, notify: Notify, created_at: ?string, created_by: ?User, head: number, read: number, unread: number,
 *   mentions: ?number}} ChannelInfo
 *   of a server without membership every channel is open, everybody is a member, and `mentions` is null
 * @typedef {{seq: number, at: string, op: string, by: ?User, user: ?User, role: ?string, title: ?string, topic: ?string,
 *   archived: ?boolean}} Note an event of the log about the channel itself
 */

import { waitInWords } from '../text/format.js';

/** What stands for a limit until `welcome` has named it. A server without attachments takes 0 bytes of them. */
export const DEFAULT_LIMITS = {
  frame_bytes: 65536,
  text_chars: 8000,
  attachment_bytes: 10 * 1024 * 1024,
  attachments: 10,
  topic_chars: 250,
  query_chars: 128,
};

/** The pause before what was refused for the moment is tried again, where the answer names none. */
export const RETRY_MS = 1000;

/** An answer of type `error`, or a command that got none (`disconnected`). */
export class ChatError extends Error {
  /** @param {{code: string, message?: string, retryable?: boolean, retry_ms?: number, channel?: any}} fields */
  constructor({ code, message, retryable = false, retry_ms, channel }) {
    super(
      code === 'rate_limited'
        ? `That was a lot in a short time. Try again in ${waitInWords(retry_ms ?? 0)}.`
        : message || code,
    );
    this.name = 'ChatError';
    this.code = code;
    this.retryable = retryable === true;
    this.retryMs = Number.isFinite(retry_ms) ? retry_ms : undefined;
    this.channel = channel;
  }
}

/**
 * What a client does after the close code: connect again, connect again without the frame that caused it, or stop.
 * @param {number} code
 * @returns {'reconnect' | 'drop-frame' | 'final'}
 */
export function afterClose(code) {
  if (code >= 4100 && code <= 4199) return 'final';
  if (code === 1003 || code === 1007 || code === 1009) return 'drop-frame';
  return 'reconnect';
}

/**
 * @param {unknown} data what a WebSocket `message` event carries
 * @returns {?Record<string, any>}
 */
export function readFrame(data) {
  if (typeof data !== 'string') return null;
  try {
    const frame = JSON.parse(data);
    return isObject(frame) && typeof frame.type === 'string' ? frame : null;
  } catch {
    return null;
  }
}

/** @param {any} value @returns {?User} */
export function readUser(value) {
  return isObject(value) && typeof value.id === 'string' && typeof value.name === 'string'
    ? {
        id: value.id,
        name: value.name,
        ...(text(value.avatar) && { avatar: value.avatar }),
        ...(value.deleted === true && { deleted: true }),
      }
    : null;
}

/** @param {any} value a message, or an event of type `message` @returns {?Message} */
export function readMessage(value) {
  if (!isObject(value) || !isSeq(value.seq) || typeof value.text !== 'string') return null;
  const author = readUser(value.author);
  if (!author) return null;
  return {
    seq: value.seq,
    author,
    at: text(value.at) ?? '',
    text: value.text,
    nonce: text(value.nonce),
    reply_to: isSeq(value.reply_to) ? value.reply_to : null,
    attachments: list(value.attachments, readAttachment),
    edited_at: text(value.edited_at),
    deleted: value.deleted === true,
    reactions: list(value.reactions, readReaction),
    mentions: list(value.mentions, text),
  };
}

/** @param {any} value @returns {?Attachment} */
export function readAttachment(value) {
  if (!isObject(value) || ![value.id, value.name, value.url].every((field) => typeof field === 'string')) return null;
  return {
    id: value.id,
    name: plainName(value.name),
    size: Number.isFinite(value.size) ? value.size : 0,
    content_type: text(value.content_type) ?? '',
    width: value.width > 0 ? value.width : null,
    height: value.height > 0 ? value.height : null,
    url: value.url,
  };
}

/** @param {any} value @returns {?ChannelInfo} */
export function readChannelInfo(value) {
  if (!isObject(value) || typeof value.name !== 'string' || value.name === '') return null;
  return {
    name: value.name,
    title: text(value.title) || value.name,
    topic: text(value.topic) ?? '',
    kind: ['private', 'direct'].includes(value.kind) ? value.kind : 'open',
    role: value.role === undefined ? 'member' : text(value.role),
    users: list(value.users, readUser),
    members: Number.isSafeInteger(value.members) ? value.members : null,
    archived: value.archived === true,
    notify: ['mentions', 'none'].includes(value.notify) ? value.notify : 'all',
    created_at: text(value.created_at),
    created_by: readUser(value.created_by),
    head: count(value.head),
    read: count(value.read),
    unread: count(value.unread),
    mentions: Number.isSafeInteger(value.mentions) ? count(value.mentions) : null,
  };
}

/** @param {any} event of the log @returns {?Note} */
export function readNote(event) {
  const { type, seq, op } = event;
  if (type !== 'channel_changed' && (type !== 'member' || typeof op !== 'string')) return null;
  return {
    seq,
    at: text(event.at) ?? '',
    op: type === 'member' ? op : 'changed',
    by: readUser(event.by),
    user: readUser(event.user),
    role: text(event.role),
    title: text(event.title),
    topic: text(event.topic),
    archived: typeof event.archived === 'boolean' ? event.archived : null,
  };
}

/**
 * @template T
 * @param {any} values
 * @param {(value: any) => ?T} read
 * @returns {T[]} those that could be read
 */
export function list(values, read) {
  return Array.isArray(values) ? values.map(read).filter((value) => value !== null) : [];
}

/** Replaces what a text has of halves of characters, which no server can read. @param {string} text */
export function wellFormed(text) {
  return text.replace(/\p{Surrogate}/gu, '\ufffd');
}

/** A file's name without what turns the direction of text: `gpj.exe` would read as `exe.jpg`. @param {string} name */
export function plainName(name) {
  return name.replace(/[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '_');
}

/** Events name who did it as a user or as a user's id. @param {any} by @returns {?string} */
export function userId(by) {
  return typeof by === 'string' ? by : text(by?.id);
}

/** @param {any} value */
export function isSeq(value) {
  return Number.isSafeInteger(value) && value >= 1;
}

/** @param {any} value @returns {?Reaction} */
function readReaction(value) {
  return isObject(value) && typeof value.emoji === 'string'
    ? { emoji: value.emoji, users: list(value.users, text) }
    : null;
}

/** @param {any} value @returns {?string} */
function text(value) {
  return typeof value === 'string' ? value : null;
}

/** @param {any} value */
function count(value) {
  return Number.isSafeInteger(value) && value > 0 ? value : 0;
}

/** @param {any} value */
function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
