import { bounded } from './format.js';

/** Names the tab: the channel, and before it how many mentions wait. @param {?string} name @param {number} mentions */
export function showTitle(name, mentions) {
  const place = name === null ? 'Chat' : `#${name} · Chat`;
  document.title = mentions > 0 ? `(${bounded(mentions, 99)}) ${place}` : place;
}

/** Marks the tab's icon. A page that wants it names the other picture in `<link rel="icon" data-mentions="…">`. @param {number} mentions */
export function showMentions(mentions) {
  /** @type {?HTMLLinkElement} */
  const link = document.querySelector('link[rel="icon"][data-mentions]');
  if (!link) return;
  link.dataset.plain ??= link.getAttribute('href') ?? '';
  const href = mentions > 0 ? link.dataset.mentions : link.dataset.plain;
  if (href && link.getAttribute('href') !== href) link.setAttribute('href', href);
}
