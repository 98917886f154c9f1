import { list, readUser } from './protocol.js';

/** How many people are asked for at once. */
const PAGE = 50;

/** The first word of a name that a text mentions, and the most names that are looked for. */
const MENTIONED = /@([\p{L}\p{N}]+)/gu;
const MOST_MET = 10;

/** @typedef {import('./protocol.js').User} User */
/** @typedef {{user: User, role: string, online: boolean}} Member */

/**
 * Who is in which channel, and what a channel is called: asks the server for it, and to change it. What changes comes back
 * as events. Each call throws a `ChatError` where the server refuses it.
 */
export class Membership {
  /** The channels whose people were asked for. @type {Set<string>} */
  #pictured = new Set();

  /**
   * @param {{request: (type: string, fields: object) => Promise<any>, names: import('./people.js').Names,
   *   applyInfo: (value: any) => import('./channel.js').Channel | undefined,
   *   channel: (name: string) => import('./channel.js').Channel | undefined, onChange: (name: string) => void,
   *   onPictures: () => void}} options
   */
  constructor({ request, names, applyInfo, channel, onChange, onPictures }) {
    this.request = request;
    this.names = names;
    this.applyInfo = applyInfo;
    this.channel = channel;
    this.onChange = onChange;
    this.onPictures = onPictures;
  }

  /** The direct channel with these people. @param {string[]} users ids of others @returns {Promise<string>} its name */
  async openDirect(users) {
    const answer = await this.request('open_direct', { users });
    return this.applyInfo(answer.channel)?.name ?? '';
  }

  /** @param {string} name of an open channel */
  async join(name) {
    await this.request('join', { channel: name });
    this.#take(name, { role: 'member' });
  }

  /** @param {string} name */
  async leave(name) {
    await this.request('leave', { channel: name });
    if (this.channel(name)?.kind === 'open') this.#take(name, { role: null, isNews: false });
  }

  /** @param {string} name @param {{title?: string, topic?: string, archived?: boolean}} fields */
  async update(name, fields) {
    await this.request('update_channel', { channel: name, ...fields });
  }

  /** @param {string} name @param {import('./protocol.js').Notify} notify */
  async setNotify(name, notify) {
    await this.request('set_notify', { channel: name, notify });
    this.#take(name, { notify });
  }

  /** @param {string} name @param {string[]} users ids */
  async add(name, users) {
    await this.request('add_members', { channel: name, users });
  }

  /** @param {string} name @param {string} user an id */
  async remove(name, user) {
    await this.request('remove_member', { channel: name, user });
  }

  /** @param {string} name @param {string} user an id @param {'owner' | 'member'} role */
  async setRole(name, user, role) {
    await this.request('set_role', { channel: name, user, role });
  }

  /** A page of the members of a channel. @param {string} name @param {string} [after] an id @returns {Promise<{members: Member[], more: boolean}>} */
  async members(name, after) {
    const answer = await this.request('members', { channel: name, ...(after && { after }), limit: PAGE });
    const members = list(answer.members, (value) => {
      const user = readUser(value?.user);
      return user && { user, role: String(value.role ?? 'member'), online: value.online === true };
    });
    for (const { user } of members) this.names.add(user);
    return { members, more: answer.more === true && members.length > 0 };
  }

  /**
   * Gets the pictures of the people of a channel that is shown: the log has none. Nobody is asked before one is known.
   * @param {import('./channel.js').Channel} channel
   */
  async picture({ name, loaded }) {
    if (!loaded || !this.names.hasPictures || this.#pictured.has(name)) return;
    this.#pictured.add(name);
    await this.members(name).catch(() => {});
    this.onPictures();
  }

  /**
   * A page of the people that one may know of.
   * @param {{query?: string, channel?: string, after?: string, limit?: number}} [wanted] `channel`: only those who may read it
   * @returns {Promise<{users: User[], more: boolean}>}
   */
  async users({ query = '', channel, after, limit = PAGE } = {}) {
    const fields = { ...(query && { query }), ...(channel && { channel }), ...(after && { after }), limit };
    const answer = await this.request('users', fields);
    const users = list(answer.users, readUser);
    for (const user of users) this.names.add(user);
    return { users, more: answer.more === true && users.length > 0 };
  }

  /** Gets to know those whom a text may mention that was written before this page began. @param {string} text */
  async meet(text) {
    const words = new Set([...text.matchAll(MENTIONED)].slice(0, MOST_MET).map(([, word]) => word));
    for (const query of words) await this.users({ query }).catch(() => {});
  }

  #take(name, change) {
    const channel = this.channel(name);
    if (channel) Object.assign(channel, change);
    this.onChange(name);
  }
}
