import { bounded } from '../text/format.js';

/** @typedef {{mentions: number, isUnread: boolean}} News how many mentions wait, and whether any message does */

/** Names the tab: the channel, and before it how many mentions wait, or a dot for other messages. @param {?string} label @param {News} news */
export function showTitle(label, { mentions, isUnread }) {
  const place = label === null ? 'Chat' : `${label} · Chat`;
  const mark = mentions > 0 ? `(${bounded(mentions, 99)}) ` : isUnread ? '• ' : '';
  document.title = mark + place;
}

/** Marks the tab's icon. A page that wants it names the other picture in `<link rel="icon" data-mentions="…">`. @param {boolean} marked */
export function showIcon(marked) {
  /** @type {?HTMLLinkElement} */
  const link = document.querySelector('link[rel="icon"][data-mentions]');
  if (!link) return;
  link.dataset.plain ??= link.getAttribute('href') ?? '';
  const href = marked ? link.dataset.mentions : link.dataset.plain;
  if (href && link.getAttribute('href') !== href) link.setAttribute('href', href);
}
