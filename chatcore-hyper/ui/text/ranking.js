import { channelKey } from './channel-key.js';

/** The most channels that are offered at once. */
export const OFFERED = 50;

/** What a channel would be called that somebody asks for. @param {string} query */
export function asName(query) {
  return channelKey(query.trim().replace(/^#/u, ''));
}

/**
 * How well a name fits what was typed: whole, from its beginning, from a word's, within, or letter by letter; 0 is not at all.
 * @param {string} name
 * @param {string} query
 */
export function fit(name, query) {
  if (name === query) return 5;
  if (name.startsWith(query)) return 4;
  const at = name.indexOf(query);
  if (at > 0) return /[-_.]/u.test(name[at - 1]) ? 3 : 2;
  let next = 0;
  for (const letter of query) {
    next = name.indexOf(letter, next) + 1;
    if (next === 0) return 0;
  }
  return 1;
}

/**
 * The channels that fit, the best first: mentions, then unread ones, then recent ones, then by name; where something was
 * typed, those that fit it better come first.
 * @template {{name: string, title: string, mentionCount: number, unread: number}} Channel
 * @param {Channel[]} channels by name
 * @param {string} query a name
 * @param {{recent: string[], current: ?string}} user the channel they are in is where they need not go
 * @param {number} [most]
 * @returns {Channel[]}
 */
export function rank(channels, query, { recent, current }, most = OFFERED) {
  const place = (name) => (recent.includes(name) ? recent.length - recent.indexOf(name) : 0);
  return channels
    .map((channel) => {
      const { name, title, mentionCount, unread } = channel;
      return {
        channel,
        order: [fit(asName(title), query), Number(name !== current), mentionCount, Number(unread > 0), place(name)],
      };
    })
    .filter(({ order }) => order[0] > 0)
    .sort((one, other) => difference(other.order, one.order))
    .slice(0, most)
    .map(({ channel }) => channel);
}

function difference(one, other) {
  const at = one.findIndex((value, index) => value !== other[index]);
  return at < 0 ? 0 : one[at] - other[at];
}
