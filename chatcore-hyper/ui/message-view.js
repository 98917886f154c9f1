import { attachmentView } from './attachment-view.js';
import { avatar } from './avatar.js';
import { h, icon } from './dom.js';
import { clockTime, fullTime } from './format.js';
import { textView } from './markdown-view.js';

/**
 * One message as it stands in the timeline. It is drawn whole again when it changes, which is seldom.
 * @param {Extract<import('./rows.js').Row, {kind: 'message'}>} row
 * @param {{user: import('./protocol.js').User, names: Iterable<string>, onRetry: (nonce: string) => void, onDiscard: (nonce: string) => void}} context
 */
export function messageView(row, context) {
  const { message, first, state } = row;
  const at = new Date(message.at);
  return h(
    'article',
    {
      class: ['message', first && 'first', state, message.deleted && 'deleted'].filter(Boolean).join(' '),
      'data-seq': message.seq,
      'aria-label': `${message.author.name}, ${fullTime(at)}`,
    },
    h('div', { class: 'gutter' }, first ? avatar(message.author) : timeView(at, message.at)),
    h(
      'div',
      { class: 'content' },
      first ? h('header', {}, h('bdi', { class: 'author' }, message.author.name), timeView(at, message.at)) : null,
      message.deleted ? h('p', { class: 'tombstone' }, 'This message was deleted.') : bodyView(message, context),
      message.attachments.length > 0 ? h('div', { class: 'attachments' }, ...message.attachments.map(attachmentView)) : null,
      message.reactions.length > 0 ? reactionsView(message.reactions, context.user) : null,
      state === 'failed' ? failedView(row, context) : null,
    ),
  );
}

function timeView(at, iso) {
  return h('time', { datetime: iso, title: fullTime(at) }, clockTime(at));
}

function bodyView({ text, edited_at }, { names, user }) {
  if (text === '') return null;
  const edited = edited_at ? h('span', { class: 'edited', title: fullTime(new Date(edited_at)) }, ' (edited)') : null;
  return textView(text, { names, own: user.name }, edited);
}

function reactionsView(reactions, user) {
  return h(
    'ul',
    { class: 'reactions', 'aria-label': 'Reactions' },
    ...reactions.map(({ emoji, users }) =>
      h('li', { class: users.includes(user.id) ? 'own' : null }, h('span', {}, emoji), h('span', { class: 'count' }, String(users.length))),
    ),
  );
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
