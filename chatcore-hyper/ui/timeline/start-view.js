import { avatar } from '../views/avatar.js';
import { h } from '../dom/dom.js';

/** What stands above a channel's first message. @param {import('../core/channel.js').Channel} channel */
export function startView({ name, topic, createdBy }) {
  return h(
    'div',
    { class: 'start' },
    h('span', { class: 'start-sign', 'aria-hidden': 'true' }, '#'),
    h('h2', {}, h('bdi', {}, name)),
    h('p', {}, topic ? h('bdi', {}, topic) : 'This is where the channel begins. Say hello.'),
    createdBy
      ? h('p', { class: 'start-by' }, avatar(createdBy), h('span', {}, 'Created by ', h('bdi', {}, createdBy.name)))
      : null,
  );
}
