import { mentionedNames } from '../text/mentions.js';

/** The most people that are kept. */
export const MAX_NAMES = 2000;

/** The most names that one person is known by: the present one and those of before. */
const MAX_FORMER = 4;

/** Whom one may mention besides people, as it is written and as the protocol has it. */
export const GROUPS = { channel: '@channel', here: '@here' };

/** @typedef {import('./protocol.js').User} User */

/** Those who were met in any channel, by which a text is read alike wherever it is looked at; the oldest give way. */
export class Names {
  /** `names` has the present one first. @type {Map<string, {user: User, names: string[]}>} */
  #byId = new Map();
  /** @type {?string[]} the same list as long as nobody new is met */
  #all = null;

  /** Whether somebody has a picture. */
  hasPictures = false;

  /**
   * Takes over what the server says of somebody. Lists and `user_changed` have a picture, and the log has none.
   * @param {User} user
   * @param {string} [avatar] of before, for what comes from elsewhere
   */
  add(user, avatar = this.of(user).avatar) {
    const { id, name, deleted } = user;
    const known = this.#byId.get(id);
    const now = avatar && !deleted ? { avatar, ...user } : user;
    this.hasPictures ||= !!now.avatar;
    if (known?.user.name === name && known.user.deleted === deleted && known.user.avatar === now.avatar) return;
    this.#keep(now, [name, ...(known?.names ?? []).filter((other) => other !== name)]);
  }

  /** Takes over the name that a message has kept, which may be a former one. @param {User} user */
  meet(user) {
    const known = this.#byId.get(user.id);
    if (!known) this.#keep(user, [user.name]);
    else if (!known.names.includes(user.name)) this.#keep(known.user, [...known.names, user.name]);
  }

  #keep(user, names) {
    this.#byId.set(user.id, { user, names: names.slice(0, MAX_FORMER) });
    if (this.#byId.size > MAX_NAMES) {
      // The first is the signed-in user's, whom a text may mention whenever.
      const [, oldest] = this.#byId.keys();
      this.#byId.delete(oldest);
    }
    this.#all = null;
  }

  /** Somebody as they are called now. @param {User} user as a message has kept them @returns {User} */
  of(user) {
    return this.#byId.get(user.id)?.user ?? user;
  }

  /** All names, former ones too. */
  get all() {
    this.#all ??= [...Object.keys(GROUPS), ...[...this.#byId.values()].flatMap(({ names }) => names)];
    return this.#all;
  }

  /** Whose name this is, or was if it is nobody's now. @param {string} name @returns {string | undefined} the id */
  idOf(name) {
    const all = [...this.#byId];
    const [id] =
      all.find(([, { user }]) => user.name === name) ?? all.find(([, { names }]) => names.includes(name)) ?? [];
    return id;
  }

  /** Whom a text mentions, as the protocol has it. @param {string} text @returns {string[]} */
  mentionedIn(text) {
    const ids = [...mentionedNames(text, this.all)].map((name) => GROUPS[name] ?? this.idOf(name));
    return [...new Set(ids)].filter((id) => id !== undefined);
  }
}

/**
 * Everybody that a channel knows of, by id: who is online and who wrote what is kept.
 * @param {import('./channel.js').Channel | undefined} channel
 * @param {User} user the signed-in one
 * @returns {Map<string, User>}
 */
export function peopleOf(channel, user) {
  const people = new Map([[user.id, user]]);
  if (!channel) return people;
  for (const { author } of [...(channel.past?.messages ?? []), ...channel.messages])
    people.set(author.id, channel.names.of(author));
  for (const member of [...channel.users, ...channel.members.values()]) people.set(member.id, channel.names.of(member));
  return people;
}

/** "Ann", "Ann and Bob", "Ann, Bob and 3 others". @param {string[]} names @param {number} [most] names that are said */
export function nameList(names, most = 20) {
  const rest = names.length - most;
  const said = rest > 0 ? [...names.slice(0, most), `${rest} ${rest === 1 ? 'other' : 'others'}`] : names;
  return said.length < 2 ? said.join('') : `${said.slice(0, -1).join(', ')} and ${said.at(-1)}`;
}
