import { h, icon } from '../dom/dom.js';
import { avatar } from './avatar.js';

/**
 * What stands before the title of a channel: a # if it is open, a lock if it is private, or whom one writes to in it.
 * @param {Pick<import('../core/channel.js').Channel, 'kind' | 'others' | 'members'> | undefined} channel
 * @param {import('../core/protocol.js').User} user the signed-in one
 */
export function channelSign(channel, user) {
  if (channel?.kind === 'private') return h('span', { class: 'sign', 'aria-hidden': 'true' }, icon('lock'));
  if (channel?.kind !== 'direct') return h('span', { class: 'sign', 'aria-hidden': 'true' }, '#');
  const { others } = channel;
  if (others.length > 1) return h('span', { class: 'avatar group', 'aria-hidden': 'true' }, String(others.length));
  const dot = h('span', { class: isOnline(channel) ? 'dot online' : 'dot' });
  return h('span', { class: 'person', 'aria-hidden': 'true' }, avatar(others[0] ?? user), others[0] ? dot : null);
}

/** Whether somebody else of a direct channel is there. @param {Pick<import('../core/channel.js').Channel, 'others' | 'members'>} channel */
export function isOnline({ others, members }) {
  return others.some(({ id }) => members.has(id));
}
