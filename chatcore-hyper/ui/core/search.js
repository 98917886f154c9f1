import { isSeq, list, readMessage } from './protocol.js';

/** @typedef {import('./protocol.js').Message & {channel: string}} Found */

/**
 * Asks for messages with all words of a query.
 * @param {(type: string, fields: object) => Promise<any>} request
 * @param {?string} name of a channel; null for all that one may read
 * @param {string} query
 * @param {any} before what an answer said: a seq, or for all channels an opaque text
 * @returns {Promise<{messages: Found[], more: boolean, before: any}>} oldest first
 */
export async function searchMessages(request, name, query, before) {
  const answer = await request('search', {
    ...(name !== null && { channel: name }),
    query,
    ...(before !== null && { before }),
  });
  const on = isSeq(answer.before) || (name === null && typeof answer.before === 'string') ? answer.before : null;
  const read = (value) => {
    const message = readMessage(value);
    const channel = name ?? value?.channel;
    return message && typeof channel === 'string' ? { ...message, channel } : null;
  };
  return { messages: list(answer.messages, read), more: answer.more === true && on !== null, before: on };
}
