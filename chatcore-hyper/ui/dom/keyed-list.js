import { setChildren } from './dom.js';

/**
 * Keeps the children of one element in step with a list: known keys keep their element, so focus, selection, a playing
 * image and the scroll position survive; only what moved is moved and only what changed is drawn again.
 *
 * @template Item
 */
export class KeyedList {
  /** @type {Map<string, {element: Element, item: Item}>} */
  #shown = new Map();

  /**
   * @param {Element} parent
   * @param {{key: (item: Item) => string, same: (one: Item, other: Item) => boolean,
   *   draw: (item: Item, element: ?Element) => Element}} options `draw` makes the element or brings the given one up to date
   */
  constructor(parent, { key, same, draw }) {
    this.parent = parent;
    this.key = key;
    this.same = same;
    this.draw = draw;
  }

  /** @param {Item[]} items */
  show(items) {
    const shown = new Map();
    for (const item of items) {
      const key = this.key(item);
      const before = this.#shown.get(key);
      const element =
        before && this.same(before.item, item) ? before.element : this.draw(item, before?.element ?? null);
      shown.set(key, { element, item });
    }
    this.#shown = shown;
    setChildren(
      this.parent,
      [...shown.values()].map(({ element }) => element),
    );
  }
}
