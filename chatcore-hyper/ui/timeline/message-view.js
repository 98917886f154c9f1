import { attachmentView } from '../views/attachment-view.js';
import { avatar } from '../views/avatar.js';
import { h, icon, setChildren } from '../dom/dom.js';
import { clockTime, fullTime } from '../text/format.js';
import { firstLine } from '../text/markdown.js';
import { textView } from '../views/markdown-view.js';
import { nameList } from '../core/people.js';
import { channelHash } from '../dom/route.js';

/** The most of a message that a quote of it holds. */
const QUOTE_CHARS = 140;

/**
 * @typedef {{channel: string, user: import('../core/protocol.js').User, people: Map<string, import('../core/protocol.js').User>,
 *   names: string[], nameOf: (user: import('../core/protocol.js').User) => string, idOf: (name: string) => string | undefined,
 *   addressed: (file: import('../core/protocol.js').Attachment) => import('../core/protocol.js').Attachment,
 *   onRetry: (nonce: string) => void, onDiscard: (nonce: string) => void, onUndo: (seq: number) => void,
 *   onReact: (seq: number, emoji: string, on: boolean) => void}} MessageContext
 */

/**
 * The parts of an article that stay as they are while only the rest changes: a text may be selected, a film playing.
 * @type {WeakMap<Element, Record<string, {of: string, element: Element}>>}
 */
const shownParts = new WeakMap();

/**
 * One message as it stands in the timeline. An article that is there keeps its place and its focus.
 * @param {Extract<import('./rows.js').Row, {kind: 'message'}>} row
 * @param {MessageContext} context
 * @param {?HTMLElement} [element] the article that shows the message so far
 */
export function messageView(row, context, element = null) {
  const { message, first, author, state } = row;
  const at = new Date(message.at);
  const article = element ?? h('article', { tabindex: '-1' });
  const target = article.classList.contains('target') && 'target';
  article.className = ['message', first && 'first', state, message.deleted && 'deleted', target]
    .filter(Boolean)
    .join(' ');
  article.setAttribute('part', message.author.id === context.user.id ? 'message own' : 'message');
  if (message.seq) article.dataset.seq = String(message.seq);
  article.setAttribute('aria-label', `${author.name}, ${fullTime(at)}`);
  if (!element) article.append(h('div', { class: 'gutter' }), h('div', { class: 'content' }));
  const [gutter, content] = article.children;
  gutter.replaceChildren(first ? avatar(author) : timeView(at, message.at));
  const parts = [
    first
      ? h('header', {}, h('bdi', { class: 'author', part: 'author' }, author.name), timeView(at, message.at))
      : null,
    ...(state === 'leaving' ? [leavingView(message, context)] : bodyView(row, context, article)),
    state === 'failed' ? failedView(row, context) : null,
  ];
  setChildren(
    content,
    parts.filter((part) => part !== null),
  );
  return article;
}

/** The part of this name as it stands, as long as it is made of the same. */
function kept(article, name, of, make) {
  const parts = shownParts.get(article) ?? {};
  const part = parts[name]?.of === of ? parts[name] : { of, element: make() };
  shownParts.set(article, { ...parts, [name]: part });
  return part.element;
}

function timeView(at, iso) {
  return h('time', { datetime: iso, title: fullTime(at) }, clockTime(at));
}

function bodyView({ message, state, quote }, context, article) {
  const { text, edited_at, attachments, uploads } = message;
  if (message.deleted) return [h('p', { class: 'tombstone' }, 'This message was deleted.')];
  return [
    message.reply_to ? quoteView(message.reply_to, quote, context) : null,
    text === ''
      ? null
      : kept(article, 'text', `${edited_at} ${message.mentions} ${text}`, () => writtenView(message, context)),
    uploads?.element ?? null,
    state === 'uploading' ? h('p', { class: 'waiting' }, 'Will be sent once its files are uploaded.') : null,
    uploads || attachments.length === 0
      ? null
      : kept(article, 'files', attachments.map(({ url }) => url).join(' '), () => filesView(attachments, context)),
    message.reactions.length > 0 ? reactionsView(message, context) : null,
  ];
}

function writtenView({ text, edited_at, mentions }, { names, user, idOf }) {
  const edited = edited_at ? h('span', { class: 'edited', title: fullTime(new Date(edited_at)) }, ' (edited)') : null;
  return textView(text, { names, own: user.name, isOwn: (name) => idOf(name) === user.id, mentions }, edited);
}

function filesView(attachments, { addressed }) {
  return h('div', { class: 'attachments' }, ...attachments.map(addressed).map(attachmentView));
}

/** The message that this one replies to: its author and its first line, and the way to it. */
function quoteView(seq, quote, { channel, nameOf }) {
  const said =
    quote?.deleted || quote === null ? 'This message was deleted.' : quote && firstLine(quote).slice(0, QUOTE_CHARS);
  return h(
    'a',
    { class: 'quote', href: channelHash(channel, seq), 'data-key': 'quote' },
    icon('reply'),
    h('span', { class: 'visually-hidden' }, 'In reply to'),
    quote ? h('bdi', { class: 'author' }, nameOf(quote.author)) : null,
    h('bdi', { class: quote?.text ? 'quoted' : 'quoted tombstone' }, said || '…'),
  );
}

function reactionsView({ seq, reactions }, { people, user, onReact }) {
  return h(
    'ul',
    { class: 'reactions', 'aria-label': 'Reactions' },
    ...reactions.map(({ emoji, users }) => {
      const own = users.includes(user.id);
      const names = nameList(users.map((id) => (id === user.id ? 'you' : (people.get(id)?.name ?? 'somebody'))));
      const props = {
        type: 'button',
        class: own ? 'reaction own' : 'reaction',
        'aria-pressed': String(own),
        'aria-label': `${emoji} ${users.length}, ${names}`,
        'data-key': `reaction ${emoji}`,
        title: names,
        on: { click: () => onReact(seq, emoji, !own) },
      };
      return h('li', {}, h('button', props, h('span', {}, emoji), h('span', { class: 'count' }, String(users.length))));
    }),
    h(
      'li',
      {},
      h(
        'button',
        {
          type: 'button',
          class: 'reaction add',
          'aria-label': 'Add a reaction',
          title: 'Add a reaction',
          'data-key': 'add',
        },
        icon('smile'),
      ),
    ),
  );
}

function leavingView({ seq }, { onUndo }) {
  const undo = h(
    'button',
    { type: 'button', class: 'link', 'data-key': 'undo', on: { click: () => onUndo(seq) } },
    'Undo',
  );
  return h('p', { class: 'tombstone' }, 'Deleted. ', undo);
}

function failedView({ message, error }, { onRetry, onDiscard }) {
  const reason = error?.code === 'timeout' ? 'Not sent.' : `Not sent: ${error?.message ?? 'refused'}`;
  return h(
    'p',
    { class: 'failure' },
    icon('warning'),
    h('span', {}, reason),
    h('button', { type: 'button', class: 'link', on: { click: () => onRetry(message.nonce) } }, 'Retry'),
    h('button', { type: 'button', class: 'link', on: { click: () => onDiscard(message.nonce) } }, 'Delete'),
  );
}
