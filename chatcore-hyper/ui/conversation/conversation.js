import '../composer/composer.js';
import '../timeline/timeline.js';
import '../views/announcer.js';
import '../views/banner.js';
import { acceptDrops } from '../composer/drops.js';
import { h, icon, setText } from '../dom/dom.js';
import { typingText } from '../text/format.js';
import { channelSign } from '../views/channel-sign.js';
import { attempt } from '../views/dialog.js';
import { showToast } from '../views/toast.js';

/** One channel as a person sees it: its messages, and what they write there. The whole chat has one, and so has each room. */
export class Conversation {
  /** The name of the channel that is shown, or null. @type {any} */
  channel = null;
  title = h('bdi');
  topic = h('p', { class: 'topic', dir: 'auto' });
  #sign = h('span', { class: 'sign-place' });
  /** What is drawn before the title. */
  #drawnSign = '';
  /** Stands where one would write. */
  #readOnly = h('div', { class: 'read-only', hidden: true });
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

  /** Its name and its topic, under a heading of this level. @param {'h1' | 'h2'} level @param {() => void} [onTitle] what the name leads to */
  heading(level, onTitle) {
    const button = { type: 'button', title: 'Channel details', on: { click: onTitle } };
    const parts = onTitle ? [h('button', button, this.#sign, this.title, icon('more'))] : [this.#sign, this.title];
    return h('div', { class: 'pane-title' }, h(level, {}, ...parts), this.topic);
  }

  /** Its messages, and beneath them what is written. @param {...HTMLElement} more */
  body(...more) {
    const foot = h('div', { class: 'pane-foot' }, this.composer, this.#readOnly, this.#typing);
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
    this.#showSign(channel);
    setText(this.title, channel?.title ?? name ?? '');
    setText(this.topic, channel?.topic ?? '');
    this.topic.title = channel?.topic ?? '';
    setText(this.#typing, typingText([...(channel?.typing.values() ?? [])].map(({ user }) => user.name)));
    const archived = channel?.archived === true;
    if (archived && (this.#readOnly.hidden || this.#readOnly.dataset.name !== name)) this.#fillReadOnly(channel);
    this.#readOnly.hidden = !archived;
    this.composer.hidden = name === null || isMissing || archived;
    if (name !== null) {
      this.composer.label = this.#core.label(name);
      this.timeline.label = channel?.title ?? name;
    }
    return { channel, isMissing };
  }

  #showSign(channel) {
    const drawn = channel ? JSON.stringify([channel.kind, channel.others, [...channel.members.keys()]]) : '';
    if (drawn === this.#drawnSign && this.#sign.hasChildNodes()) return;
    this.#drawnSign = drawn;
    this.#sign.replaceChildren(channelSign(channel, this.#core.user));
  }

  /** Says why nobody writes here, and offers an owner to change that. */
  #fillReadOnly({ name, isOwner }) {
    const said = h('span', { role: 'status' }, 'This channel is archived: it can be read, but nobody can write in it.');
    const restore = h('button', { type: 'button', class: 'link' }, 'Restore it');
    restore.addEventListener('click', () =>
      attempt(restore, said, () => this.#core.membership.update(name, { archived: false })),
    );
    this.#readOnly.dataset.name = name;
    this.#readOnly.replaceChildren(said, ...(isOwner ? [restore] : []));
  }
}

/** @returns {any} */
function element(name) {
  return Object.assign(document.createElement(`chat-${name}`), { part: name });
}
