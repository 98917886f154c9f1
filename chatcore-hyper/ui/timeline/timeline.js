import { h, keepingFocus, setAttribute, setText } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';
import { whyNot } from './why-not.js';
import { Divider } from './divider.js';
import { Excerpt, WINDOW } from './excerpt.js';
import { KeyedList } from '../dom/keyed-list.js';
import { MessageCommands } from './message-commands.js';
import { messageView } from './message-view.js';
import { noteView } from './note-view.js';
import { Pills } from './pills.js';
import { peopleOf } from '../core/people.js';
import { Quotes } from '../core/quotes.js';
import { buildRows, notesAmong, sameRow } from './rows.js';
import { Scroll } from './scroll.js';
import { startView } from './start-view.js';
import { isLookedAt } from '../core/tabs.js';

/**
 * `<chat-timeline>`: the messages of one channel.
 *
 * Fires `seen` with the position up to which everything is read, `write` when the focus should go where one writes, `left` when the reader goes from
 * a message that the address names to the end, `notice` with a word about what could not be done, and `reply` and `edit`
 * with a message.
 */
export class Timeline extends LiveElement {
  #scroller;
  #content;
  #rows;
  #pills;
  #notice;
  #noticeText;
  /** Says why there is nothing beyond the edge. */
  #edge;
  /** The name of the one shown, or null. @type {any} */
  channel = null;
  #scroll;
  #drawing = 0;
  /** The messages in the document. */
  #excerpt = new Excerpt();
  #divider = new Divider(() => this.core.user.id);
  /** The message that is looked for. @type {?number} */
  #target = null;
  /** Whether what is looked for is where the new begins. */
  #seeksNew = false;
  #seeking = false;
  /** Whether it is open where the reader begins. */
  #entering = false;
  /** The position of the New line that somebody has seen. @type {?number} */
  #metNew = null;
  /** Whether a message has an address of its own. */
  linked = true;
  #commands;
  #quotes;
  /** Whom the channel knows of. */
  #people = new Map();
  /** Messages that once stood at the top: a header that went when older ones come would move the line being read. */
  #heads = new Set();
  /** The position that was drawn last; -1 before the first drawing of a channel. */
  #drawnSeq = -1;
  /** The position up to which it is known what was new to the reader when it came; -1 as long as nothing is. */
  #notedSeq = -1;
  #inSight = true;
  /** Whether the last page could not be fetched. */
  #failed = false;

  /** @override */
  build() {
    this.#scroller = h('div', { class: 'scroller', role: 'log', tabindex: '0', 'aria-live': 'off' });
    this.#content = h('div', { class: 'rows' });
    this.#scroller.append(this.#content);
    this.#pills = new Pills(this.#scroller, { onUp: () => this.#toNew(), onDown: () => this.toEnd() });
    this.#noticeText = h('p');
    this.#notice = h('div', { class: 'timeline-notice', hidden: true }, this.#noticeText);
    this.#edge = h('p', { class: 'edge', role: 'status', hidden: true });
    this.append(this.#scroller, this.#pills.up, this.#edge, this.#notice, this.#pills.down);
    this.#rows = new KeyedList(this.#content, {
      key: (row) => row.key,
      same: sameRow,
      draw: (row, element) => this.#draw(row, element),
    });
    this.#commands = new MessageCommands(this, this.#scroller);
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#scroll = new Scroll(this.#scroller, this.#content);
    const sizes = new ResizeObserver(() => this.#laidOut());
    sizes.observe(this.#scroller);
    sizes.observe(this.#content);
  }

  /** @override */
  listen(core, signal) {
    this.#quotes ??= new Quotes(core, (name) => name === this.channel && this.#changed());
    const on = (event, listener) => core.on(event, listener, { signal });
    on('log', ({ name }) => name === this.channel && this.#came());
    // What is unread decides where one begins to read.
    on('channels', () => this.channel && this.#drawnSeq < 0 && this.#changed());
    on('names', () => this.channel && this.#changed());
    on('unread', ({ name, seq }) => name === this.channel && this.#keepUnread(seq));
    on('trouble', ({ text }) => this.fire('notice', text));
    on('state', () => {
      this.#showNotice();
      if (this.#failed && core.connection.phase === 'open') this.#fill();
    });
    const onWindow = (events, listener) => {
      for (const event of events) window.addEventListener(event, listener, { signal });
    };
    onWindow(['beforeprint', 'afterprint'], ({ type }) => this.#print(type === 'beforeprint'));
    onWindow(['focus', 'blur'], () => this.#turned());
    document.addEventListener('visibilitychange', () => this.#turned(), { signal });
    // Who leaves has had the last word: a message that was deleted does not come back, and what was read stays read. What is
    // sent as late as at `pagehide` may go down with the page; some browsers tell of nothing earlier.
    onWindow(['beforeunload', 'pagehide'], () => core.flush());
    signal.addEventListener('abort', () => cancelAnimationFrame(this.#drawing));
    // What changed while it was not in the document, or was yet to be drawn, is drawn now.
    this.#drawing = 0;
    if (this.channel) this.#changed();
  }

  focus() {
    this.#scroller.focus();
  }

  /** @param {'left' | 'notice' | 'seen' | 'write' | 'reply' | 'edit'} name @param {any} [detail] */
  fire(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** How the channel is called. @param {?string} label */
  set label(label) {
    setAttribute(this.#scroller, 'aria-label', label ? `Messages in ${label}` : 'Messages');
  }

  /** What can be done about a channel that is missing. @param {Element} element */
  set ways(element) {
    this.#notice.append(element);
  }

  /** Shows a channel from where the unread begins or from its end, or around a message of it. @param {?string} name @param {?number} [seq] */
  show(name, seq = null) {
    this.channel = name;
    this.#excerpt.reset();
    this.#scroll.reset(seq === null);
    this.#target = seq;
    this.#seeksNew = false;
    this.#entering = seq === null;
    this.#metNew = null;
    this.#divider.clear();
    this.#heads.clear();
    this.#drawnSeq = -1;
    this.#notedSeq = -1;
    this.#failed = false;
    this.#edge.hidden = true;
    this.label = (name && this.core.channel(name)?.title) ?? name;
    this.render();
  }

  /** Goes to the newest message, whatever was being read. */
  toEnd() {
    this.#target = null;
    this.#entering = false;
    this.#excerpt.reset();
    this.#scroll.pinned = true;
    if (this.channel) this.core.showLive(this.channel);
    this.render();
    this.fire('left');
  }

  /** Goes to a message of this channel, wherever in the log it stands, and marks it. @param {number} seq */
  showMessage(seq) {
    this.#target = seq;
    this.#seeksNew = false;
    this.#seek();
  }

  /** Puts the New line above a message that somebody marked as unread. */
  #keepUnread(seq) {
    this.#divider.put(seq);
    this.#metNew = null;
    this.#changed();
  }

  /** Offers the way to the New line no longer. */
  meetNew() {
    this.#metNew = this.#divider.after;
    this.#showUnread();
  }

  #toNew() {
    this.#target = /** @type {number} */ (this.#divider.after) + 1;
    this.#seeksNew = true;
    this.#seek();
  }

  /** Begins at the first unread message. Who was never here begins at the newest. @returns {boolean} whether it is on the page already */
  #enter(channel) {
    this.#entering = false;
    this.#note(channel);
    const { after } = this.#divider;
    if (after === null || channel.read === 0) return false;
    this.#target = after + 1;
    this.#seeksNew = true;
    if (!channel.shown.has(after + 1)) return false;
    this.#target = null;
    this.#markNew(after);
    return true;
  }

  async #seek() {
    const name = this.channel;
    const seq = this.#target;
    if (this.#seeking || seq === null || !this.core.channel(name)?.loaded || this.core.isCounting) return;
    this.#seeking = true;
    let trouble = '';
    try {
      if (this.#seeksNew) await this.core.showAt(name, seq);
      else if (!(await this.core.showAround(name, seq)))
        trouble = `There is no message ${seq} in ${this.core.label(name)}.`;
    } catch (error) {
      trouble =
        error.code === 'disconnected'
          ? 'Showing that message needs a connection.'
          : `That message could not be loaded: ${error.message}`;
    }
    this.#seeking = false;
    if (this.channel !== name || this.#target !== seq) return void this.#seek();
    this.#target = null;
    if (trouble === '') return this.#seeksNew ? this.#markNew(seq - 1) : this.#mark(seq);
    this.fire('notice', trouble);
    // Who was reading goes on reading there.
    if (this.#drawnSeq < 0) this.toEnd();
  }

  /** Brings the New line near to the top, unless it is in sight from the end. @param {number} after */
  #markNew(after) {
    const { shown } = this.#shownChannel;
    this.#scroll.pinned = false;
    if (shown.messages.length > WINDOW) this.#excerpt.center(shown, after + 1);
    this.render();
    const line = this.#content.querySelector('.new');
    if (!line) return;
    this.#scroll.toLine(line, this.#live);
    this.#showUnread();
    this.#fill();
  }

  /** Brings a message that is loaded to the middle, and the focus to it. */
  #mark(seq) {
    const { shown } = this.#shownChannel;
    this.#scroll.pinned = false;
    this.#excerpt.center(shown, seq);
    this.render();
    const element = this.#content.querySelector(`[data-seq="${seq}"]`);
    if (!element) return;
    this.#content.querySelector('.target')?.classList.remove('target');
    element.classList.add('target');
    this.#scroll.toMessage(element, this.#live);
    this.#showUnread();
    this.#fill();
    if (!element.hasAttribute('tabindex')) element.tabIndex = -1;
    element.focus({ preventScroll: true });
    // Under a finger the toolbar would lie over the message before; a tap brings it.
    if (matchMedia('(hover: none)').matches) this.#commands.actions.hide();
  }

  /** Notes at once what is new, since a hidden page is drawn only when somebody is back. */
  #came() {
    const channel = this.core.channel(this.channel);
    if (this.#ready && this.#notedSeq >= 0) this.#note(channel);
    this.#changed();
  }

  #note(channel) {
    this.#divider.set(channel, this.#notedSeq, this.#atEnd && this.#attentive);
    this.#notedSeq = channel.position.seq;
  }

  /** Draws before the next frame, at most once. */
  #changed() {
    if (this.#drawing) return;
    this.#drawing = requestAnimationFrame(() => this.render());
  }

  render() {
    cancelAnimationFrame(this.#drawing);
    this.#drawing = 0;
    const channel = this.channel ? this.core.channel(this.channel) : undefined;
    this.#scroll.note();
    this.#people = peopleOf(channel, this.core.user);
    if (this.#entering && this.#ready && this.#enter(channel)) return;
    const ready = this.#ready;
    this.#showRows(ready ? this.#buildRows(channel) : this.#buildPending());
    this.#scroll.settle();
    this.#showNotice();
    if (!ready) {
      this.#pills.hide();
      return void this.#seek();
    }
    this.#showUnread();
    if (!this.#failed) this.#fill();
  }

  /** What is on its way is there also while the rest is not. */
  #buildPending() {
    return this.#build(this.channel && this.#target === null ? this.core.outbox.of(this.channel) : []);
  }

  #buildRows(channel) {
    const { shown } = channel;
    this.#note(channel);
    this.#drawnSeq = channel.position.seq;
    const messages = this.#excerpt.of(shown, this.#scroll.pinned);
    return this.#build(this.#live ? this.core.outbox.of(channel.name) : [], {
      messages,
      dividerSeq: this.#divider.seq(shown),
      start: messages[0] === shown.messages[0] && !shown.more ? channel : null,
      notes: notesAmong(channel, messages, this.#live),
      isLeaving: (seq) => this.core.changes.isLeaving(channel.name, seq),
      quoteOf: (seq) => this.#quotes.of(channel, seq),
    });
  }

  #build(pending, loaded = {}) {
    return buildRows({
      messages: [],
      pending,
      user: this.core.user,
      dividerSeq: null,
      heads: this.#heads,
      start: null,
      now: new Date(),
      nameOf: (user) => this.core.names.of(user),
      ...loaded,
    });
  }

  #draw(row, element) {
    if (row.kind === 'day') return h('div', { class: 'day', role: 'separator' }, h('span', {}, row.label));
    if (row.kind === 'new') return h('div', { class: 'new', role: 'separator' }, h('span', {}, 'New'));
    if (row.kind === 'start') return startView(row.channel);
    const context = this.#commands.context(this.#people);
    return row.kind === 'note' ? noteView(row.note, context) : messageView(row, context, element);
  }

  /** Deletes one's own message, which can be undone for a while; the focus is on the way back. @param {number} seq */
  removeMessage(seq) {
    this.core.changes.remove(this.channel, seq);
    this.render();
    this.#content.querySelector(`[data-seq="${seq}"] [data-key="undo"]`)?.focus();
  }

  /** Has all that is loaded in the document while it is printed. */
  #print(begins) {
    this.#excerpt.whole = begins;
    if (this.channel) this.render();
  }

  #showRows(rows) {
    keepingFocus(this, 'article', () => {
      this.#rows.show(rows);
      this.#commands.actions.refresh();
    });
  }

  #showNotice() {
    const missing = this.channel !== null && this.core.isMissing(this.channel);
    const loading = this.channel !== null && !missing && !this.#ready;
    this.#notice.hidden = !missing && !loading;
    this.classList.toggle('missing', missing);
    if (missing && this.core.isTaken(this.channel)) {
      this.#commands.closePicture();
      setText(this.#noticeText, `You can no longer read ${this.core.label(this.channel)}.`);
    } else if (missing) {
      const why = this.core.whyMissing(this.channel);
      setText(this.#noticeText, whyNot(this.core.label(this.channel), this.channel, why));
    } else if (loading) {
      const isWaiting = this.core.connection.phase === 'waiting';
      setText(this.#noticeText, isWaiting ? 'Loading messages needs a connection.' : 'Loading messages…');
    }
  }

  /** The channel, once it is known. @returns {import('../core/channel.js').Channel} */
  get #shownChannel() {
    return /** @type {import('../core/channel.js').Channel} */ (this.core.channel(this.channel));
  }

  /** Whether there is something to show; an address that names a message must not show, and so mark as read, the end first. */
  get #ready() {
    return (
      this.core.channel(this.channel)?.loaded &&
      (this.#drawnSeq >= 0 || (this.#target === null && !this.core.isCounting))
    );
  }

  /** Whether the newest message is on the page. */
  get #live() {
    return this.#excerpt.endless && !this.core?.channel(this.channel)?.past;
  }

  get #atEnd() {
    return this.#live && this.#scroll.pinned;
  }

  /** Whether it is where it can be seen, as far as the page knows. @param {boolean} inSight */
  set inSight(inSight) {
    this.#inSight = inSight;
    this.#turned();
  }

  get #attentive() {
    return this.#inSight && isLookedAt();
  }

  /** The layout changed, be it by the window, by a pane beside, or by what is drawn late. */
  #laidOut() {
    // A timeline that is not shown has no layout.
    if (this.#scroller.clientHeight === 0) return;
    this.#scroll.settle();
    if (!this.core || this.#drawnSeq < 0) return;
    this.#showUnread();
    requestAnimationFrame(() => !this.#failed && this.#fill());
  }

  /** Somebody looks, or looks away. What they never saw is new to them. */
  #turned() {
    const channel = this.core?.channel(this.channel);
    if (this.#drawing && !this.#attentive && channel?.loaded && this.#drawnSeq >= 0)
      this.#divider.set(channel, this.#drawnSeq, false);
    this.#showUnread();
  }

  #scrolled() {
    if (this.#excerpt.whole) return;
    if (!this.#scroll.moved(this.#live)) return;
    this.#showUnread();
    this.#fill();
    if (this.#excerpt.endless || !this.#scroll.wantsNewer) return;
    // Newer messages had given way to older ones.
    this.#excerpt.newer(this.#shownChannel.shown);
    this.render();
  }

  /** Gets messages before the reader comes to an edge, or when there are too few to scroll. */
  #fill() {
    if (this.#excerpt.whole) return;
    if (this.#scroll.wantsOlder) this.#more();
    if (this.#excerpt.endless && !this.#live && this.#scroll.wantsNewer)
      this.#load((name) => this.core.loadNewer(name));
  }

  /** Shows older messages, from memory or from the server. */
  #more() {
    const channel = this.channel ? this.core.channel(this.channel) : undefined;
    if (!channel?.loaded) return;
    const [first] = this.#excerpt.of(channel.shown, this.#scroll.pinned);
    if (first) this.#heads.add(first.seq);
    if (this.#excerpt.older(channel.shown)) return this.render();
    this.#load((name) => this.core.loadOlder(name));
  }

  /** @param {(name: string) => Promise<void>} page */
  async #load(page) {
    const name = this.channel;
    try {
      this.#failed = false;
      await page(name);
    } catch (error) {
      if (name !== this.channel) return;
      this.#failed = true;
      const isOffline = error.code === 'disconnected';
      const failure = `More messages could not be loaded: ${error.message}`;
      setText(this.#edge, isOffline ? 'Loading more messages needs a connection.' : failure);
    }
    this.#edge.hidden = !this.#failed;
  }

  /** Shows in the pill what is unread, and says so when all is in sight of somebody. */
  #showUnread() {
    const channel = this.channel ? this.core?.channel(this.channel) : undefined;
    if (!channel?.loaded || this.#drawnSeq < 0) {
      this.#pills.hide();
      return;
    }
    this.#offerNew();
    this.#pills.offerDown(!this.#atEnd, channel.unread);
    if (this.#atEnd && this.#attentive && !channel.held) this.fire('seen', this.#drawnSeq);
  }

  /** Offers the way up to the New line until somebody has seen it. */
  #offerNew() {
    const { after } = this.#divider;
    if (after === null || after === this.#metNew) return this.#pills.offerUp(false);
    const { top, bottom } = this.#scroller.getBoundingClientRect();
    const line = this.#content.querySelector('.new');
    const [first] = this.#excerpt.of(this.#shownChannel.shown, this.#scroll.pinned);
    const at = line ? line.getBoundingClientRect().top : first?.seq > after ? -Infinity : Infinity;
    if (at >= top && at < bottom && this.#attentive) this.#metNew = after;
    return this.#pills.offerUp(at < top);
  }
}

customElements.define('chat-timeline', Timeline);
