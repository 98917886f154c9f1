import { h, icon } from './dom.js';
import { fileSize } from './format.js';

/** The most room a preview takes, in CSS pixels. */
const PREVIEW = { width: 380, height: 300 };

/** A page of another origin shows a file by its reader's cookie, which no element sends there by itself. */
export const WITH_COOKIE = 'use-credentials';

/** Image types that a browser draws and that cannot carry script. */
const IMAGES = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif']);

/**
 * An attachment in a message: an image with its room reserved before it is there, a player, or a card.
 * @param {import('./protocol.js').Attachment} attachment
 */
export function attachmentView(attachment) {
  if (isImage(attachment)) return imageView(attachment);
  return isPlayable(attachment) ? playerView(attachment) : cardView(attachment);
}

/** Whether it is shown as a picture. @param {import('./protocol.js').Attachment} attachment */
export function isImage({ content_type, width, height }) {
  return IMAGES.has(content_type) && Boolean(width && height);
}

/** Whether this browser says that it may play it. */
function isPlayable({ content_type }) {
  const [medium] = content_type.split('/');
  return (medium === 'audio' || medium === 'video') && document.createElement(medium).canPlayType(content_type) !== '';
}

/** A player above its card; its room does not depend on what is in the file. */
function playerView(attachment) {
  const medium = attachment.content_type.split('/')[0];
  return h(
    'div',
    { class: 'player' },
    h(medium, { crossorigin: WITH_COOKIE, src: attachment.url, controls: true, preload: 'metadata', 'aria-label': attachment.name }),
    cardView(attachment),
  );
}

function imageView({ name, size, url, width, height }) {
  const scale = Math.min(1, PREVIEW.width / width, PREVIEW.height / height);
  const image = h('img', {
    crossorigin: WITH_COOKIE,
    src: url,
    alt: name,
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
    loading: 'lazy',
    decoding: 'async',
  });
  return h(
    'a',
    { class: 'image', href: url, target: '_blank', rel: 'noopener', title: `${name}, ${fileSize(size)}` },
    image,
  );
}

function cardView({ name, size, content_type, url }) {
  return h(
    'a',
    { class: 'file', href: url, download: name, target: '_blank', rel: 'noopener', title: name },
    h('span', { class: 'visually-hidden' }, 'Download '),
    h('span', { class: 'file-icon' }, icon('file')),
    h(
      'span',
      { class: 'file-text' },
      h('bdi', { class: 'file-name' }, name),
      h('span', { class: 'file-about' }, [kind(name, content_type), fileSize(size)].filter(Boolean).join(' · ')),
    ),
    icon('download'),
  );
}

/** The short name of a type: "PDF" of `plan.pdf`, or what the server says. */
export function kind(name, contentType) {
  const ending = /\.([a-z0-9]{1,5})$/iu.exec(name)?.[1];
  return (ending ?? contentType.split('/').at(-1) ?? '').toUpperCase();
}
