import { list, readMessage } from './protocol.js';

/**
 * Reads a page of a channel's messages. The server ends an answer that grows too large, so this asks on below it until it
 * has come down to `from`.
 * @param {(type: string, fields: object) => Promise<any>} request
 * @param {string} channel
 * @param {{before: number, limit: number, from: number}} page
 * @returns {Promise<{messages: import('./protocol.js').Message[], more: boolean}>} oldest first, and whether there are older ones
 */
export async function readHistory(request, channel, { before, limit, from }) {
  /** @type {import('./protocol.js').Message[]} */
  let messages = [];
  for (let below = before; ; below = messages[0].seq) {
    const answer = await request('history', { channel, before: below, limit: limit - messages.length });
    const older = list(answer.messages, readMessage).filter(({ seq }) => seq < below);
    messages = [...older, ...messages];
    const more = answer.more === true;
    if (!more || older.length === 0 || messages.length >= limit || messages[0].seq <= from) return { messages, more };
  }
}
