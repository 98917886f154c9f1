import '../composer/composer.js';
import '../timeline/timeline.js';
import '../views/announcer.js';
import '../views/banner.js';
import { acceptDrops } from '../composer/drops.js';
import { h, setText } from '../dom/dom.js';
import { typingText } from '../text/format.js';
import { showToast } from '../views/toast.js';

/** One channel as a person sees it: its messages, and what they write there. The whole chat has one, and so has each room. */
export class Conversation {
  /** The name of the channel that is shown, or null. @type {any} */
  channel = null;
  title = h('bdi');
  topic = h('p', { class: 'topic', dir: 'auto' });
  banner = element('banner');
  timeline = element('timeline');
  composer = element('composer');
  announcer = element('announcer');
  #typing = h('p', { class: 'typing', part: 'typing' });
  /** @type {import('../core/chat-core.js').ChatCore} */
  #core;

  /**
   * Wires its parts to each other.
   * @param {HTMLElement} pane holds them, and takes what is dropped
   * @param {HTMLElement} [host] shows the toasts
   */
  join(pane, host = pane) {
    const { timeline, composer } = this;
    timeline.addEventListener('seen', ({ detail }) => this.#core.markRead(this.channel, detail));
    timeline.addEventListener('write', () => composer.focus());
    timeline.addEventListener('notice', ({ detail }) => showToast(host, detail));
    timeline.addEventListener('reply', ({ detail }) => composer.reply(detail));
    timeline.addEventListener('edit', ({ detail }) => composer.edit(detail));
    composer.addEventListener('sent', () => timeline.toEnd());
    composer.addEventListener('remove', ({ detail }) => timeline.removeMessage(detail));
    acceptDrops(pane, composer);
  }

  /** Its name and its topic, under a heading of this level. @param {'h1' | 'h2'} level */
  heading(level) {
    const sign = h('span', { class: 'sign', 'aria-hidden': 'true' }, '#');
    return h('div', { class: 'pane-title' }, h(level, {}, sign, this.title), this.topic);
  }

  /** Its messages, and beneath them what is written. @param {...HTMLElement} more */
  body(...more) {
    const foot = h('div', { class: 'pane-foot' }, this.composer, this.#typing);
    return h('div', { class: 'pane-main' }, this.timeline, foot, ...more);
  }

  /**
   * Shows what this client knows. May be called again with the same one.
   * @param {import('../core/chat-core.js').ChatCore} core
   * @param {{drafts: import('../core/drafts.js').Drafts, base: string, signal: AbortSignal}} parts `base` is where the chat
   *   service is mounted; `signal` ends it
   */
  begin(core, { drafts, base, signal }) {
    this.#core = core;
    Object.assign(this.composer, { drafts, base });
    for (const part of [this.timeline, this.announcer, this.composer]) part.core = core;
    core.on('kept', ({ name }) => drafts.kept(name), { signal });
    addEventListener('storage', (event) => drafts.heard(event), { signal });
  }

  /** Opens a channel, and leaves the one before. @param {?string} name @param {?number} [seq] a message of it to begin at */
  show(name, seq = null) {
    this.leave();
    this.channel = name;
    if (name !== null) this.#core.open(name);
    this.announcer.channel = name;
    this.timeline.show(name, seq);
    this.composer.channel = name;
  }

  leave() {
    if (this.channel !== null) this.#core.leave(this.channel);
    this.channel = null;
  }

  /** Brings topic, typing and composer up to date. @returns what is known of the channel, and whether it can't be opened */
  update() {
    const name = this.channel;
    const channel = name === null ? undefined : this.#core.channel(name);
    const isMissing = name !== null && this.#core.isMissing(name);
    setText(this.topic, channel?.topic ?? '');
    this.topic.title = channel?.topic ?? '';
    setText(this.#typing, typingText([...(channel?.typing.values() ?? [])].map(({ user }) => user.name)));
    this.composer.hidden = name === null || isMissing;
    return { channel, isMissing };
  }
}

/** @returns {any} */
function element(name) {
  return Object.assign(document.createElement(`chat-${name}`), { part: name });
}
