import { h, icon, setText } from '../dom/dom.js';
import { attempt } from '../views/dialog.js';

/** Says above the field that somebody who was mentioned can't read the channel, and offers its owners to add them. */
export class OutsiderLine {
  element = h('div', { class: 'writing outsider', hidden: true });

  /** @param {import('../core/protocol.js').User} user @param {string} name of the channel @param {import('../core/chat-core.js').ChatCore} core */
  show(user, name, core) {
    const said = h('span', { role: 'status' });
    const add = h('button', { type: 'button', class: 'link' }, `Add ${user.name}`);
    add.addEventListener('click', () =>
      attempt(add, said, async () => {
        await core.membership.add(name, [user.id]);
        this.hide();
      }),
    );
    const close = { type: 'button', class: 'plain', 'aria-label': 'Close', on: { click: () => this.hide() } };
    add.hidden = !core.channel(name)?.isOwner;
    this.element.replaceChildren(icon('lock'), said, add, h('button', close, icon('close')));
    this.element.hidden = false;
    setText(said, `${user.name} can’t read this channel.${add.hidden ? ' One of its owners can add them.' : ''}`);
  }

  hide() {
    this.element.hidden = true;
  }
}
