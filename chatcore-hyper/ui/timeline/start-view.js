import { avatar } from '../views/avatar.js';
import { h } from '../dom/dom.js';
import { channelSign } from '../views/channel-sign.js';

/** What stands above a channel's first message. @param {import('../core/channel.js').Channel} channel */
export function startView(channel) {
  const { title, topic, kind, createdBy, others } = channel;
  const isDirect = kind === 'direct';
  const said = isDirect
    ? others.length > 0
      ? `Only you and ${title} can read this.`
      : 'Only you can read this. Keep notes, links and files here.'
    : 'This is where the channel begins. Say hello.';
  return h(
    'div',
    { class: 'start' },
    h('span', { class: 'start-sign', 'aria-hidden': 'true' }, channelSign(channel, channel.user())),
    h('h2', {}, h('bdi', {}, title)),
    h('p', {}, topic ? h('bdi', {}, topic) : said),
    createdBy && !isDirect
      ? h('p', { class: 'start-by' }, avatar(createdBy), h('span', {}, 'Created by ', h('bdi', {}, createdBy.name)))
      : null,
  );
}
