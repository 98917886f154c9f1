/** The most names that are kept. */
export const MAX_NAMES = 2000;

/** The names of those who were met in any channel, by which a text is read alike wherever it is looked at; the oldest give way. */
export class Names {
  /** @type {Map<string, string>} */
  #byId = new Map();
  /** @type {?string[]} the same list as long as nobody new is met */
  #all = null;

  /** @param {import('./protocol.js').User} user */
  add({ id, name }) {
    if (this.#byId.get(id) === name) return;
    this.#byId.set(id, name);
    if (this.#byId.size > MAX_NAMES) {
      // The first is the signed-in user's, whom a text may mention whenever.
      const [, oldest] = this.#byId.keys();
      this.#byId.delete(oldest);
    }
    this.#all = null;
  }

  get all() {
    this.#all ??= [...this.#byId.values()];
    return this.#all;
  }
}

/**
 * Everybody that a channel knows of, by id: who is online and who wrote what is kept.
 * @param {import('./channel.js').Channel | undefined} channel
 * @param {import('./protocol.js').User} user the signed-in one
 * @returns {Map<string, import('./protocol.js').User>}
 */
export function peopleOf(channel, user) {
  const people = new Map([[user.id, user]]);
  for (const { author } of channel ? [...(channel.past?.messages ?? []), ...channel.messages] : [])
    people.set(author.id, author);
  for (const member of channel?.members.values() ?? []) people.set(member.id, member);
  return people;
}

/** "Ann", "Ann and Bob", "Ann, Bob and 3 others". @param {string[]} names @param {number} [most] names that are said */
export function nameList(names, most = 20) {
  const rest = names.length - most;
  const said = rest > 0 ? [...names.slice(0, most), `${rest} ${rest === 1 ? 'other' : 'others'}`] : names;
  return said.length < 2 ? said.join('') : `${said.slice(0, -1).join(', ')} and ${said.at(-1)}`;
}
