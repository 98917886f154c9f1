import { plainText } from '../text/markdown.js';
import { wellFormed } from '../core/protocol.js';
import { goTo } from './route.js';

/** The longest text that a notification shows. */
const MAX_BODY_CHARS = 200;

/** Tells somebody who looks elsewhere that they are mentioned, once they have asked for it. */
export class Notifications {
  /** Those that stand, by channel. @type {Map<string, Notification[]>} */
  #shown = new Map();

  /**
   * @param {{core: import('../core/chat-core.js').ChatCore, storage: ?Storage, tabs: import('../core/tabs.js').Tabs,
   *   signal: AbortSignal}} parts `signal` ends it
   */
  constructor({ core, storage, tabs, signal }) {
    this.core = core;
    this.storage = storage;
    this.key = `chatcore.notify.${core.user.id}`;
    core.on(
      'message',
      ({ name, message, mention }) =>
        this.state === 'on' && this.#isFor(name, mention) && tabs.once(() => this.#tell(name, message)),
      { signal },
    );
    core.on('channels', () => this.#withdraw((name) => isRead(core.channel(name))), { signal });
    signal.addEventListener('abort', () => this.#withdraw(() => true));
  }

  /** @returns {'on' | 'off' | 'blocked'} */
  get state() {
    if (!globalThis.Notification || Notification.permission === 'denied') return 'blocked';
    return Notification.permission === 'granted' && this.storage?.getItem(this.key) === 'on' ? 'on' : 'off';
  }

  /** Browsers let a page ask only as the answer to a click. @param {boolean} on */
  async turn(on) {
    if (on && (await Notification.requestPermission()) !== 'granted') return;
    this.storage?.setItem(this.key, on ? 'on' : 'off');
  }

  /** A mention is, and all that comes in a direct channel. */
  #isFor(name, mention) {
    const { kind, isMuted } = this.core.channel(name) ?? {};
    return !isMuted && (mention || kind === 'direct');
  }

  #tell(name, message) {
    // It may have been read while the tabs agreed on the one that tells.
    if (message.seq <= (this.core.channel(name)?.read ?? 0)) return;
    try {
      // The tag makes one of it, should two tabs tell it.
      const tag = `${name}/${message.seq}`;
      const { kind, label } = this.core.channel(name) ?? {};
      const author = this.core.names.of(message.author).name;
      const title = kind === 'direct' ? author : `${author} in ${label}`;
      const told = new Notification(title, { body: cut(plainText(message.text)), tag });
      told.onclick = () => {
        window.focus();
        goTo(name, message.seq);
        told.close();
      };
      this.#shown.set(name, [...(this.#shown.get(name) ?? []), told]);
    } catch {
      // Browsers of phones show them for service workers only.
    }
  }

  #withdraw(isRead) {
    for (const [name, all] of this.#shown) {
      if (!isRead(name)) continue;
      for (const told of all) told.close();
      this.#shown.delete(name);
    }
  }
}

/** @param {import('../core/channel.js').Channel | undefined} channel */
function isRead(channel) {
  return channel !== undefined && (channel.kind === 'direct' ? channel.unread : channel.mentionCount) === 0;
}

/** @param {string} text */
function cut(text) {
  return text.length > MAX_BODY_CHARS ? `${wellFormed(text.slice(0, MAX_BODY_CHARS - 1))}…` : text;
}
