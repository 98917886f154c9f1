/**
 * Everybody that a channel knows of, by id: who is online and who wrote what is kept.
 * @param {import('./channel.js').Channel | undefined} channel
 * @param {import('./protocol.js').User} user the signed-in one
 * @returns {Map<string, import('./protocol.js').User>}
 */
export function peopleOf(channel, user) {
  const people = new Map([[user.id, user]]);
  for (const { author } of channel ? [...(channel.past?.messages ?? []), ...channel.messages] : []) people.set(author.id, author);
  for (const member of channel?.members.values() ?? []) people.set(member.id, member);
  return people;
}

/** "Ann", "Ann and Bob", "Ann, Bob and 3 others". @param {string[]} names @param {number} [most] names that are said */
export function nameList(names, most = 20) {
  const rest = names.length - most;
  const said = rest > 0 ? [...names.slice(0, most), `${rest} ${rest === 1 ? 'other' : 'others'}`] : names;
  return said.length < 2 ? said.join('') : `${said.slice(0, -1).join(', ')} and ${said.at(-1)}`;
}
