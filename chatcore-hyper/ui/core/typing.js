import { TYPING_MS } from './channel.js';

/** How often at most one's typing is told. */
const TYPING_EVERY_MS = 3000;

/** Who is typing: tells the others of the signed-in user, and shows each of them for a while. */
export class Typing {
  #toldAt = -Infinity;

  /** @param {{clock: import('./connection.js').Clock, tell: (channel: string) => void, onChange: (channel: string) => void}} options */
  constructor({ clock, tell, onChange }) {
    this.clock = clock;
    this.tell = tell;
    this.onChange = onChange;
  }

  /** May be called at every key. @param {string} name */
  typed(name) {
    const now = this.clock.now();
    if (now - this.#toldAt < TYPING_EVERY_MS) return;
    this.#toldAt = now;
    this.tell(name);
  }

  /** Somebody else is typing. @param {import('./channel.js').Channel} channel @param {import('./protocol.js').User} user */
  heard(channel, user) {
    const until = this.clock.now() + TYPING_MS;
    channel.typing.set(user.id, { user, until });
    this.onChange(channel.name);
    this.clock.setTimeout(() => {
      if (channel.typing.get(user.id)?.until !== until) return;
      channel.typing.delete(user.id);
      this.onChange(channel.name);
    }, TYPING_MS);
  }
}
