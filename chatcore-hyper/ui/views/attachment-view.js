import { h, icon } from '../dom/dom.js';
import { fileSize, number } from '../text/format.js';

/** The most room a picture takes, in CSS pixels; the server makes previews whose longest side is so long, and twice that. */
const ROOM = { width: 360, height: 300 };

/** The most pixels of a picture that is shown; a browser holds four bytes for each once it is enlarged. */
const PIXELS = 50e6;

/** The most of one that has no preview. */
const PIXELS_AS_IT_IS = 4e6;

/** A page of another origin shows a file by its reader's cookie, which no element sends there by itself. */
export const WITH_COOKIE = 'use-credentials';

/** Image types of which the server makes previews. */
const PREVIEWED = /^image\/(png|jpeg|gif|webp)$/u;

/**
 * An attachment in a message: an image with its room reserved before it is there, a player, or a card.
 * @param {import('../core/protocol.js').Attachment} attachment
 */
export function attachmentView(attachment) {
  if (isImage(attachment)) return imageView(attachment);
  return isPlayable(attachment) ? playerView(attachment) : cardView(attachment);
}

/** Whether it is shown as a picture. @param {import('../core/protocol.js').Attachment} attachment */
export function isImage({ content_type, width, height }) {
  const most = PREVIEWED.test(content_type) ? PIXELS : content_type === 'image/avif' ? PIXELS_AS_IT_IS : 0;
  return width !== null && height !== null && width > 0 && height > 0 && width * height <= most;
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
    h(medium, {
      crossorigin: WITH_COOKIE,
      src: attachment.url,
      controls: true,
      preload: 'metadata',
      'aria-label': attachment.name,
    }),
    cardView(attachment),
  );
}

/** Its room depends on what the server says of it, never on what is in the file. */
function imageView(attachment) {
  const { name, size, content_type, url, width, height } = attachment;
  const scale = Math.min(1, ROOM.width / width, ROOM.height / height);
  const [wide, high] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  const preview = PREVIEWED.test(content_type) && `${url}?preview=`;
  const image = h('img', {
    crossorigin: WITH_COOKIE,
    srcset: preview ? `${preview}720 2x` : null,
    src: preview ? `${preview}360` : url,
    alt: name,
    width: wide,
    height: high,
    loading: 'lazy',
    decoding: 'async',
    on: { error: () => link.replaceWith(cardView(attachment)) },
  });
  image.style.aspectRatio = `${wide} / ${high}`;
  const kindOf = content_type === 'image/gif' ? 'image gif' : 'image';
  const link = h(
    'a',
    { class: kindOf, href: url, target: '_blank', rel: 'noopener', title: `${name}, ${fileSize(size)}` },
    image,
  );
  return link;
}

function cardView({ name, size, content_type, url, width, height }) {
  const pixels = width && height ? `${number(width)} × ${number(height)}` : '';
  return h(
    'a',
    { class: 'file', href: url, download: name, target: '_blank', rel: 'noopener', title: name },
    h('span', { class: 'visually-hidden' }, 'Download '),
    h('span', { class: 'file-icon' }, icon('file')),
    h(
      'span',
      { class: 'file-text' },
      h('bdi', { class: 'file-name' }, name),
      h(
        'span',
        { class: 'file-about' },
        [kind(name, content_type), fileSize(size), pixels].filter(Boolean).join(' · '),
      ),
    ),
    icon('download'),
  );
}

/** The short name of a type: "PDF" of `plan.pdf`, or what the server says. */
export function kind(name, contentType) {
  const ending = /\.([a-z0-9]{1,5})$/iu.exec(name)?.[1];
  return (ending ?? contentType.split('/').at(-1) ?? '').toUpperCase();
}
