import { h } from '../dom/dom.js';
import { fullTime } from '../text/format.js';

/**
 * What happened to a channel, as a quiet line.
 * @param {import('../core/protocol.js').Note} note
 * @param {{user: import('../core/protocol.js').User, nameOf: (user: import('../core/protocol.js').User) => string}} context
 */
export function noteView(note, { user, nameOf }) {
  const who = (one) => (!one ? 'Somebody' : h('bdi', {}, one.id === user.id ? 'You' : nameOf(one)));
  const whom = (one) => (!one ? 'somebody' : h('bdi', {}, one.id === user.id ? 'you' : nameOf(one)));
  return h('p', { class: 'note', title: fullTime(new Date(note.at)) }, ...saidOf(note, who, whom));
}

function saidOf(note, who, whom) {
  const { op, by, user, role, title, topic, archived } = note;
  const isOwn = by?.id === user?.id;
  if (op === 'added') return isOwn ? [who(user), ' joined'] : [who(by), ' added ', whom(user)];
  if (op === 'removed') return [who(by), ' removed ', whom(user)];
  if (op === 'left') return [who(user), ' left'];
  if (op === 'role') return [who(by), ' made ', whom(user), role === 'owner' ? ' an owner' : ' a member'];
  const changes = [
    archived !== null && [archived ? ' archived the channel' : ' restored the channel'],
    title !== null && [' named the channel ', h('bdi', {}, title)],
    topic !== null && (topic === '' ? [' removed the topic'] : [' set the topic to ', h('bdi', {}, topic)]),
  ].filter((change) => change !== false);
  if (changes.length === 0) return [who(by), ' changed the channel'];
  return [who(by), ...changes.flatMap((change, at) => (at === 0 ? change : [' and', ...change]))];
}
