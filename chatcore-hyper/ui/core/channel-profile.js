import { nameList, Names } from './people.js';

/** The most notes of one channel that are kept, and the most names in the title of a direct channel. */
const MAX_NOTES = 200;
const MAX_TITLED = 4;

/** What a channel is: how it is called, of which kind it is, who is in it, and what it is to the signed-in user. */
export class ChannelProfile {
  #title = '';
  topic = '';
  /** @type {import('./protocol.js').Kind} */ kind = 'open';
  /** @type {?string} */ role = null;
  /** Of a direct channel, the signed-in user too. @type {import('./protocol.js').User[]} */ users = [];
  /** How many may read a private channel. @type {?number} */ memberCount = null;
  archived = false;
  /** @type {import('./protocol.js').Notify} */ notify = 'all';
  /** Whether it came up while this client was there, so that it is listed before anybody has joined it. */
  isNews = false;
  /** What happened to the channel itself while this client was there. @type {import('./protocol.js').Note[]} */
  notes = [];
  /** @type {?string} */ createdAt = null;
  /** @type {?import('./protocol.js').User} */ createdBy = null;

  /**
   * @param {string} name
   * @param {() => import('./protocol.js').User} user the signed-in one, whose own messages are never unread
   * @param {Names} names
   */
  constructor(name, user, names = new Names()) {
    this.name = name;
    this.user = user;
    this.names = names;
  }

  /** Takes over what the directory says. @param {import('./protocol.js').ChannelInfo} info */
  describe({ title, topic, kind, role, users, members, archived, notify, created_at, created_by }) {
    Object.assign(this, { topic, kind, role, users, archived, notify, memberCount: members });
    this.#title = title;
    this.createdAt = created_at;
    this.createdBy = created_by;
    for (const user of users) this.names.add(user);
  }

  /** What people call it: its title, or who is in it. */
  get title() {
    if (this.kind !== 'direct') return this.#title || this.name;
    const others = this.others.map(({ name }) => name);
    return others.length > 0 ? nameList(others, MAX_TITLED) : `${this.user().name} (you)`;
  }

  /** Its title as it stands in a text. */
  get label() {
    return this.kind === 'open' ? `#${this.title}` : this.title;
  }

  /** The people of a direct channel besides the signed-in one, by name. */
  get others() {
    const others = this.users.filter(({ id }) => id !== this.user().id).map((user) => this.names.of(user));
    return others.sort((one, other) => one.name.localeCompare(other.name));
  }

  /** Whether it is one of the signed-in user's. */
  get isJoined() {
    return this.kind !== 'open' || this.role !== null;
  }

  get isOwner() {
    return this.role === 'owner';
  }

  /** Whether it is not worth a word that something is new. */
  get isMuted() {
    return this.notify === 'none';
  }

  /** Takes over what happened to the channel itself. @param {?import('./protocol.js').Note} note */
  addNote(note) {
    if (!note) return;
    for (const user of [note.by, note.user]) if (user) this.names.add(user);
    this.notes = [...this.notes, note].slice(-MAX_NOTES);
    const { op, user, role } = note;
    if (op === 'changed') {
      this.#title = note.title ?? this.#title;
      this.topic = note.topic ?? this.topic;
      this.archived = note.archived ?? this.archived;
    } else if (user?.id === this.user().id) this.role = op === 'added' || op === 'role' ? role : null;
    if (this.memberCount !== null) this.memberCount += { added: 1, removed: -1, left: -1 }[op] ?? 0;
  }
}
