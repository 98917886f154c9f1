import { userId } from './protocol.js';

/** @param {import('./protocol.js').Reaction[]} reactions @param {{emoji: string, on: boolean, by: any}} event */
export function react(reactions, { emoji, on, by }) {
  const id = userId(by);
  if (typeof emoji !== 'string' || id === null) return reactions;
  const known = reactions.some((reaction) => reaction.emoji === emoji);
  const all = known ? reactions : [...reactions, { emoji, users: [] }];
  return all
    .map((reaction) => {
      if (reaction.emoji !== emoji) return reaction;
      const others = reaction.users.filter((user) => user !== id);
      return { emoji, users: on === true ? [...others, id] : others };
    })
    .filter((reaction) => reaction.users.length > 0);
}
