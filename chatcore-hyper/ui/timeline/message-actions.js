import { copyText } from '../dom/clipboard.js';
import { around, focused, h, icon } from '../dom/dom.js';
import { hasSingleKeys } from '../dom/shortcuts.js';

/** The reactions that are one press away. */
const QUICK = ['👍', '❤️', '😂'];

/** Keys that act on the message with the focus. */
const KEYS = { r: 'reply', e: 'edit', u: 'unread', Delete: 'remove', c: 'copy', '+': 'pick' };

/**
 * What one does with a message: a toolbar on the one under the pointer or with the focus, and keys.
 * There is one toolbar; it goes where it is needed.
 */
export class MessageActions {
  #bar;
  #own;
  #text;
  #link;
  /** The article that has the toolbar. @type {?HTMLElement} */
  #article = null;
  /** The one that had it when a press began, which itself may bring the toolbar along with the focus. @type {?HTMLElement} */
  #before = null;

  /**
   * @param {HTMLElement} scroller
   * @param {{message: (seq: number) => import('../core/protocol.js').Message | undefined, isOwn: (message: any) => boolean,
   *   link: (seq: number) => ?string, onUnread: (seq: number) => void, onReply: (message: any) => void, onEdit: (message: any) => void, onRemove: (seq: number) => void,
   *   onReact: (seq: number, emoji: string) => void, onPick: (seq: number, from: HTMLElement) => void,
   *   onNotice: (text: string) => void, onLeave: () => void}} context
   */
  constructor(scroller, context) {
    this.scroller = scroller;
    this.context = context;
    const button = (sign, label, action) =>
      h(
        'button',
        { type: 'button', class: 'plain', 'aria-label': label, title: label, on: { click: () => this.#act(action) } },
        icon(sign),
      );
    this.#text = button('copy', 'Copy text', 'text');
    this.#link = button('link', 'Copy the link', 'copy');
    this.#own = [button('edit', 'Edit', 'edit'), button('remove', 'Delete', 'remove')];
    this.#bar = h(
      'div',
      { class: 'actions', role: 'toolbar', 'aria-label': 'Message actions' },
      ...QUICK.map((emoji) =>
        h(
          'button',
          {
            type: 'button',
            class: 'plain',
            'aria-label': `React with ${emoji}`,
            title: `React with ${emoji}`,
            on: { click: () => this.#react(emoji) },
          },
          emoji,
        ),
      ),
      button('smile', 'Add a reaction', 'pick'),
      button('reply', 'Reply', 'reply'),
      button('unread', 'Mark as unread from here', 'unread'),
      this.#text,
      this.#link,
      ...this.#own,
    );
    // A press leaves the focus where it is, so that the toolbar is free to follow the pointer.
    this.#bar.addEventListener('mousedown', (event) => event.preventDefault());
    // On touch it lies over other messages, so it goes once it has served.
    this.#bar.addEventListener('click', ({ pointerType }) => pointerType === 'touch' && this.#show(null));
    const on = (name, listen) => scroller.addEventListener(name, listen);
    on(
      'pointerover',
      (event) => event.pointerType === 'mouse' && !this.#bar.contains(focused()) && this.#show(articleOf(event)),
    );
    on(
      'pointerleave',
      (event) => event.pointerType === 'mouse' && !this.#article?.contains(focused()) && this.#show(null),
    );
    on('focusin', (event) => this.#show(articleOf(event)));
    on('focusout', ({ relatedTarget }) => relatedTarget && !scroller.contains(relatedTarget) && this.#show(null));
    on('pointerdown', () => (this.#before = this.#article));
    on('click', (event) => this.#clicked(event));
    on('keydown', (event) => this.#pressed(event));
  }

  /** Looks again whether the message that has the toolbar can still be acted on. */
  refresh() {
    if (this.#article && (!this.#article.isConnected || !this.#message)) this.#show(null);
  }

  hide() {
    this.#show(null);
  }

  get #message() {
    const seq = Number(this.#article?.dataset.seq);
    const message = seq && !this.#article?.classList.contains('leaving') ? this.context.message(seq) : undefined;
    return message?.deleted ? undefined : message;
  }

  #show(article) {
    if (article === this.#article && article?.contains(this.#bar)) return;
    this.#article = article;
    const message = this.#message;
    if (!message) {
      this.#article = null;
      this.#bar.remove();
      return;
    }
    this.#text.hidden = message.text === '';
    this.#link.hidden = this.context.link(message.seq) === null;
    for (const button of this.#own) button.hidden = !this.context.isOwn(message);
    article.append(this.#bar);
  }

  #act(action) {
    const message = this.#message;
    if (!message) return;
    const { context } = this;
    if (action === 'reply') context.onReply(message);
    else if (action === 'unread') context.onUnread(message.seq);
    else if (action === 'text') this.#copy('text', message.text);
    else if (action === 'copy') this.#copy('link', context.link(message.seq));
    else if (action === 'pick') context.onPick(message.seq, /** @type {HTMLElement} */ (this.#article));
    else if (!context.isOwn(message)) return;
    else if (action === 'edit') context.onEdit(message);
    else context.onRemove(message.seq);
  }

  #react(emoji) {
    const message = this.#message;
    if (message) this.context.onReact(message.seq, emoji);
  }

  async #copy(what, text) {
    if (text === null) return;
    const done = await copyText(text);
    this.context.onNotice(done ? `The ${what} is copied.` : `The browser did not copy the ${what}.`);
  }

  /** A tap on a message, where there is no pointer to hover with. */
  #clicked(event) {
    const article = articleOf(event);
    const add = around(event, '.reaction.add');
    if (add) this.context.onPick(Number(article?.dataset.seq), add);
    if (event.pointerType !== 'touch' || around(event, 'a, button, audio, video') || !getSelection()?.isCollapsed)
      return;
    this.#show(article === this.#before ? null : article);
  }

  #pressed(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { target, key } = event;
    const article = articleOf(event);
    if (this.#bar.contains(target) && (key === 'ArrowLeft' || key === 'ArrowRight')) {
      const buttons = [...this.#bar.children].filter((button) => !button.hidden);
      buttons[(buttons.indexOf(target) + (key === 'ArrowRight' ? 1 : buttons.length - 1)) % buttons.length].focus();
    } else if (key === 'Escape' && article) {
      if (target === article) this.context.onLeave();
      else article.focus();
    } else if (target === this.scroller ? key === 'ArrowUp' : key === 'ArrowUp' || key === 'ArrowDown') {
      if (target.closest('audio, video')) return;
      this.#step(article, key === 'ArrowUp');
    } else if (target === article && key in KEYS && (key.length > 1 || hasSingleKeys())) this.#act(KEYS[key]);
    else return;
    event.preventDefault();
  }

  /** Moves the focus to the message before or after; from the log itself, to the last one in sight. */
  #step(article, up) {
    const all = [...this.scroller.querySelectorAll('article')];
    const bottom = this.scroller.getBoundingClientRect().bottom;
    const at = article
      ? all.indexOf(article) + (up ? -1 : 1)
      : all.findLastIndex((one) => one.getBoundingClientRect().top < bottom);
    if (at === all.length) this.context.onLeave();
    all[at]?.focus({ preventScroll: true });
    all[at]?.scrollIntoView({ block: 'nearest' });
  }
}

/** @param {Event} event @returns {?HTMLElement} */
function articleOf(event) {
  return around(event, 'article');
}
