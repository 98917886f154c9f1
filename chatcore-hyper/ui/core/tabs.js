import { systemClock } from './connection.js';

/** How long another tab has to answer; one that does not is gone, or the browser has put it to sleep. */
const ANSWER_MS = 1000;

/** Whether somebody looks at this page. */
export function isLookedAt() {
  return document.visibilityState === 'visible' && document.hasFocus();
}

/** The tabs that one person has open in one browser: whether somebody looks at any of them, and which one acts for all. */
export class Tabs {
  #id = Math.random();
  /** What the others last said, by their ids. @type {Map<number, {looks: boolean, acts: boolean}>} */
  #others = new Map();
  /** What is not decided yet, and the tabs that have not answered. @type {Set<{act: () => void, silent: Set<number>}>} */
  #waiting = new Set();
  #channel;

  /**
   * @param {{userId: string, acts: () => boolean, looks?: () => boolean, clock?: import('./connection.js').Clock,
   *   BroadcastChannel?: any}} parts `acts`: whether this tab can act for all; `looks`: whether somebody looks at it
   */
  constructor({
    userId,
    acts,
    looks = isLookedAt,
    clock = systemClock,
    BroadcastChannel = globalThis.BroadcastChannel,
  }) {
    this.acts = acts;
    this.looks = looks;
    this.clock = clock;
    this.#channel = BroadcastChannel ? new BroadcastChannel(`chatcore.tabs.${userId}`) : null;
    if (this.#channel) this.#channel.onmessage = ({ data }) => this.#heard(data);
    this.say('ask');
  }

  /** Whether somebody looks at another tab, as far as it is known. */
  get isElsewhere() {
    return !this.looks() && [...this.#others.values()].some(({ looks }) => looks);
  }

  /** Tells the other tabs about this one. @param {'here' | 'ask' | 'gone'} type `ask` has them answer */
  say(type = 'here') {
    this.#channel?.postMessage({ type, id: this.#id, looks: this.looks(), acts: this.acts() });
  }

  /** Acts in one of the tabs, and in none if somebody looks at one. @param {() => void} act */
  once(act) {
    const waiting = { act, silent: new Set(this.#others.keys()) };
    this.#waiting.add(waiting);
    if (waiting.silent.size === 0) return this.#decide(waiting);
    this.say('ask');
    return this.clock.setTimeout(() => {
      for (const id of waiting.silent) this.#others.delete(id);
      this.#decide(waiting);
    }, ANSWER_MS);
  }

  close() {
    this.#waiting.clear();
    this.say('gone');
    this.#channel?.close();
    this.#channel = null;
  }

  #heard({ type, id, looks, acts }) {
    if (type === 'gone') this.#others.delete(id);
    else this.#others.set(id, { looks, acts });
    if (type === 'ask') this.say();
    for (const waiting of [...this.#waiting]) {
      waiting.silent.delete(id);
      if (waiting.silent.size === 0) this.#decide(waiting);
    }
  }

  #decide(waiting) {
    if (!this.#waiting.delete(waiting) || this.looks()) return;
    const isBefore = ([id, { looks, acts }]) => looks || (acts && id < this.#id);
    if (![...this.#others].some(isBefore)) waiting.act();
  }
}
