import { h } from '../dom/dom.js';

const HUES = 12;

/** The first letters of the first and the last word. @param {string} name */
export function initials(name) {
  const words = name.split(/[\s._-]+/u).filter((word) => /[\p{L}\p{N}]/u.test(word));
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map(
    (word) => word?.match(/[\p{L}\p{N}]/u)?.[0] ?? '',
  );
  return letters.join('').toLocaleUpperCase() || '?';
}

/** A colour that stays with a person. @param {string} id */
export function hue(id) {
  let hash = 0;
  for (const sign of id) hash = (hash * 31 + /** @type {number} */ (sign.codePointAt(0))) >>> 0;
  return ((hash ^ (hash >>> 15)) >>> 0) % HUES;
}

/** @param {import('../core/protocol.js').User} user */
export function avatar(user) {
  return h('span', { class: `avatar hue-${hue(user.id)}`, 'aria-hidden': 'true' }, initials(user.name));
}
