import { BASE } from '../base.js';
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

/** Somebody's picture, and until that has come their initials. @param {import('../core/protocol.js').User} user */
export function avatar(user) {
  const view = h('span', { class: `avatar hue-${hue(user.id)}`, 'aria-hidden': 'true' }, initials(user.name));
  const src = user.avatar && address(user.avatar);
  if (!src) return view;
  const show = () => view.replaceChildren(image);
  const image = h('img', { alt: '', referrerpolicy: 'no-referrer', src, on: { load: show } });
  // One that was shown before is there at once.
  if (image.naturalWidth > 0) show();
  return view;
}

/** The address of a picture on the chat's own server, or elsewhere by HTTPS. @param {string} url */
function address(url) {
  if (!URL.canParse(url, BASE)) return null;
  const { href, origin, protocol } = new URL(url, BASE);
  return protocol === 'https:' || origin === new URL(BASE).origin ? href : null;
}
