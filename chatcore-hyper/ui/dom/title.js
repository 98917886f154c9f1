import { bounded } from '../text/format.js';

/** How long the marks of a tab wait for what is read in another one. */
const MARKS_MS = 1000;

/** What a tab's title and icon say: the channel, and whether something is new. */
export class TabMarks {
  /** Brings both up to date a little later. @type {any} */
  #timer = null;
  /** The channel that the title names. @type {?string} */
  #name = null;

  /**
   * Shows the channel, and what is new. What is read just now, in this tab or another, is not worth a mark.
   * @param {?string} name
   * @param {import('../core/chat-core.js').ChatCore} core
   * @param {import('../core/tabs.js').Tabs} tabs
   */
  show(name, core, tabs) {
    const isLookedAt = tabs.isElsewhere || tabs.looks();
    if (!isLookedAt || !core.isUnread || this.#name !== name) this.#mark(name, core);
    else this.#timer ??= setTimeout(() => this.#mark(name, core), MARKS_MS);
  }

  /** Before the channel comes how many mentions wait, or a dot for other messages. */
  #mark(name, core) {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#name = name;
    const { mentions, isUnread } = core;
    const mark = mentions > 0 ? `(${bounded(mentions, 99)}) ` : isUnread ? '• ' : '';
    document.title = `${mark}${name === null ? '' : `${core.label(name)} · `}Chat`;
    showIcon(isUnread);
  }

  /** Takes the icon's mark away. */
  end() {
    clearTimeout(this.#timer);
    this.#timer = null;
    showIcon(false);
  }
}

/** Marks the tab's icon. A page that wants it names the other picture in `<link rel="icon" data-mentions="…">`. @param {boolean} marked */
function showIcon(marked) {
  /** @type {?HTMLLinkElement} */
  const link = document.querySelector('link[rel="icon"][data-mentions]');
  if (!link) return;
  link.dataset.plain ??= link.getAttribute('href') ?? '';
  const href = marked ? link.dataset.mentions : link.dataset.plain;
  if (href && link.getAttribute('href') !== href) link.setAttribute('href', href);
}
