import { GROUPS } from '../core/people.js';

/** How many people are asked for at once. */
const ASKED = 8;

/** @typedef {{name: string, hint: string, user: ?import('../core/protocol.js').User, isOutside: boolean}} Mentionable */

const SAID = { channel: 'everybody in this channel', here: 'everybody who is online' };

/** Whom one may mention with a name that begins like this, as far as it is known here. @param {import('../core/chat-core.js').ChatCore} core @param {Map<string, import('../core/protocol.js').User>} people @param {import('../core/channel.js').Channel | undefined} channel @returns {Mentionable[]} */
export function knownOf(core, people, channel) {
  const groups = channel?.isTold && channel.kind !== 'direct' ? Object.keys(GROUPS) : [];
  return [
    ...[...people.values()].map((user) => ({ name: core.names.of(user).name, hint: '', user, isOutside: false })),
    ...groups.map((name) => ({ name, hint: SAID[name], user: null, isOutside: false })),
  ];
}

/**
 * Asks the server for people with a name that begins like this: those who can read the channel, and those who can't.
 * @param {import('../core/chat-core.js').ChatCore} core
 * @param {import('../core/channel.js').Channel | undefined} channel
 * @param {string} query
 * @returns {Promise<Mentionable[]>}
 */
export async function askedOf(core, channel, query) {
  if (!channel?.isTold || query === '') return [];
  const { membership } = core;
  const { name, kind } = channel;
  const readers = membership.users({ query, channel: name, limit: ASKED });
  const all = kind === 'private' ? membership.users({ query, limit: ASKED }) : readers;
  const ids = new Set((await readers).users.map(({ id }) => id));
  return [...(await readers).users, ...(await all).users.filter(({ id }) => !ids.has(id))].map((user) => {
    const isOutside = !ids.has(user.id);
    return { name: user.name, hint: isOutside ? 'can’t read this channel' : '', user, isOutside };
  });
}
