import { around, focused, h, layerOf } from '../dom/dom.js';
import { findEmoji, loadEmoji } from '../text/emoji.js';
import { isComposed } from '../dom/field.js';
import { RecentEmoji } from '../core/recent-emoji.js';

/** The most that a search shows. */
const MAX_FOUND = 80;

/** The least room between the picker and the window's edge. */
const MARGIN = 8;

/**
 * A panel with all emoji: recent ones, groups, a search. Arrow keys go through them, Escape closes it and the focus goes
 * back to where it was.
 */
export class EmojiPicker {
  /** @type {any} */
  #panel = null;
  #search;
  #results;
  #all;
  /** @type {?import('../text/emoji.js').EmojiNames} */
  #names = null;
  #recent = new RecentEmoji();
  /** @type {(emoji: string) => void} */
  #onPick = () => {};
  /** @type {any} */
  #from = null;

  /** @param {HTMLElement} from what it opens beside, and where the focus returns to @param {(emoji: string) => void} onPick */
  async open(from, onPick) {
    this.#from = focused() === document.body ? from : focused();
    this.#onPick = onPick;
    this.#panel ??= this.#build();
    layerOf(from).append(this.#panel);
    this.#search.value = '';
    this.#panel.showPopover();
    this.#place(from);
    this.#search.focus();
    try {
      this.#names ??= await loadEmoji();
      this.#show();
    } catch {
      this.#say('The emoji could not be loaded.');
    }
  }

  #build() {
    this.#search = h('input', {
      type: 'search',
      'aria-label': 'Search emoji',
      placeholder: 'Search emoji',
      autocomplete: 'off',
      on: { input: () => this.#show() },
    });
    this.#results = h('div', { class: 'emoji-groups' });
    const panel = h(
      'div',
      { class: 'emoji-picker', popover: 'auto', role: 'dialog', 'aria-label': 'Emoji' },
      this.#search,
      this.#results,
    );
    panel.addEventListener('click', (event) => {
      const emoji = around(event, '.emoji')?.textContent;
      if (emoji) this.#pick(emoji);
    });
    panel.addEventListener('keydown', (event) => this.#pressed(event));
    panel.addEventListener('toggle', ({ newState }) => newState === 'closed' && panel.remove());
    return panel;
  }

  /** Beside what it was opened from, within the window. */
  #place(from) {
    const box = from.getBoundingClientRect();
    const { offsetWidth, offsetHeight, style } = this.#panel;
    const above = box.top - offsetHeight - MARGIN;
    const within = (place, room) => `${Math.max(MARGIN, Math.min(place, room - MARGIN))}px`;
    style.left = within(box.right - offsetWidth, innerWidth - offsetWidth);
    style.top = within(above >= MARGIN ? above : box.bottom + MARGIN, innerHeight - offsetHeight);
  }

  #say(text) {
    this.#results.replaceChildren(h('p', { class: 'hint', role: 'status' }, text));
  }

  #show() {
    if (!this.#names) return;
    const wanted = this.#search.value.trim();
    if (wanted !== '') {
      const found = findEmoji(this.#names, wanted, MAX_FOUND);
      if (found.length === 0) return this.#say('No emoji with this name.');
      this.#results.replaceChildren(groupView('Found', found));
    } else {
      this.#all ??= this.#names.groups.map(({ name, emoji }) => groupView(name, emoji));
      const recent = this.#recent.list.map((sign) => ({ sign, codes: ['recent'] }));
      this.#results.replaceChildren(...(recent.length > 0 ? [groupView('Recent', recent)] : []), ...this.#all);
    }
    this.#results.scrollTop = 0;
  }

  #pick(emoji) {
    this.#recent.add(emoji);
    this.#close();
    this.#onPick(emoji);
  }

  #close() {
    this.#panel.hidePopover();
    if (this.#from?.isConnected) this.#from.focus({ preventScroll: true });
  }

  #pressed(event) {
    const { key, target } = event;
    const buttons = [...this.#results.querySelectorAll('button')];
    const at = buttons.indexOf(target);
    if (isComposed(event)) return;
    if (key === 'Escape') this.#close();
    else if (key === 'Enter' && at < 0) {
      if (buttons[0]) this.#pick(buttons[0].textContent);
    } else if (key === 'ArrowDown' || key === 'ArrowUp')
      (at < 0 ? buttons[0] : this.#inNextLine(buttons, at, key === 'ArrowDown'))?.focus();
    else if (at >= 0 && (key === 'ArrowRight' || key === 'ArrowLeft'))
      buttons[at + (key === 'ArrowRight' ? 1 : -1)]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** The one below or above; above the first line is the search. */
  #inNextLine(buttons, at, down) {
    const { offsetTop, offsetLeft } = buttons[at];
    const rest = down ? buttons.slice(at + 1) : buttons.slice(0, at).reverse();
    const line = rest.find((one) => one.offsetTop !== offsetTop)?.offsetTop;
    if (line === undefined) return down ? null : this.#search;
    const inLine = rest.filter((one) => one.offsetTop === line);
    return inLine.reduce((best, one) =>
      Math.abs(one.offsetLeft - offsetLeft) < Math.abs(best.offsetLeft - offsetLeft) ? one : best,
    );
  }
}

function groupView(name, emoji) {
  const buttons = emoji.map(({ sign, codes }) => {
    // "thumbsup" says more than "+1".
    const label = (codes.find((code) => /^[a-z]/u.test(code)) ?? codes[0]).replaceAll('_', ' ');
    return h(
      'button',
      {
        type: 'button',
        class: 'emoji',
        tabindex: '-1',
        title: label,
        'aria-label': codes[0] === 'recent' ? sign : label,
      },
      sign,
    );
  });
  const group = h(
    'div',
    { class: 'emoji-group', role: 'group', 'aria-label': name },
    h('h3', {}, name),
    h('div', { class: 'emoji-line' }, ...buttons),
  );
  return group;
}
