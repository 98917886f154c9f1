import { h } from '../dom/dom.js';
import { clockTime, fullTime } from '../text/format.js';

/**
 * What happened to a channel, as a quiet line.
 * @param {import('../core/protocol.js').Note} note
 * @param {{user: import('../core/protocol.js').User, nameOf: (user: import('../core/protocol.js').User) => string}} context
 */
export function noteView(note, { user, nameOf }) {
  const at = new Date(note.at);
  const who = (one) => (!one ? 'Somebody' : h('bdi', {}, one.id === user.id ? 'You' : nameOf(one)));
  const whom = (one) => (!one ? 'somebody' : h('bdi', {}, one.id === user.id ? 'you' : nameOf(one)));
  return h(
    'p',
    { class: 'note' },
    ...saidOf(note, who, whom),
    ' ',
    h('time', { datetime: note.at, title: fullTime(at) }, clockTime(at)),
  );
}

function saidOf(note, who, whom) {
  const { op, by, user, role, title, topic, archived } = note;
  const isOwn = by?.id === user?.id;
  if (op === 'added') return isOwn ? [who(user), ' joined'] : [who(by), ' added ', whom(user)];
  if (op === 'removed') return [who(by), ' removed ', whom(user)];
  if (op === 'left') return [who(user), ' left'];
  if (op === 'role') return [who(by), ' made ', whom(user), role === 'owner' ? ' an owner' : ' a member'];
  if (archived !== null) return [who(by), archived ? ' archived the channel' : ' restored the channel'];
  if (title !== null) return [who(by), ' named the channel ', h('bdi', {}, title)];
  if (topic) return [who(by), ' set the topic to ', h('bdi', {}, topic)];
  return [who(by), topic === '' ? ' removed the topic' : ' changed the channel'];
}
