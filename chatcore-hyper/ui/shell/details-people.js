import '../views/people-field.js';
import { h, setText } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';
import { KeyedList } from '../dom/keyed-list.js';
import { counted } from '../text/format.js';
import { avatar } from '../views/avatar.js';
import { attempt } from '../views/dialog.js';

/**
 * `<chat-details-people>`: who is in a channel, and for its owners the ways to add and to remove somebody.
 * Fires `ask` with a question to be answered before something is done.
 */
export class DetailsPeople extends LiveElement {
  /** @type {?string} */
  #name = null;
  /** @type {import('../core/membership.js').Member[]} */
  #members = [];
  #more = false;
  /** The last one in the server's order. @type {string | undefined} */
  #last;
  /** Counts the questions, so that a late answer is known as such. */
  #run = 0;
  #heading;
  #adding;
  #addButton;
  /** @type {any} */
  #field;
  #error;
  #rows;
  #next;

  /** @override */
  build() {
    this.#heading = h('h3');
    this.#error = h('p', { class: 'field-error', role: 'alert' });
    this.#field = document.createElement('chat-people-field');
    const add = h('button', { type: 'submit', class: 'primary' }, 'Add');
    this.#addButton = add;
    this.#field.addEventListener('chosen', () => (add.hidden = this.#field.chosen.length === 0));
    this.#adding = h(
      'form',
      { novalidate: true, hidden: true, on: { submit: (event) => this.#add(event, add) } },
      this.#field,
      h('div', { class: 'dialog-actions' }, add),
    );
    const more = { type: 'button', class: 'quiet', on: { click: () => this.#load(this.#last) } };
    this.#next = h('button', more, 'Show more people');
    const list = h('ul', { class: 'people-list' });
    this.append(this.#heading, this.#adding, this.#error, list, this.#next);
    this.#rows = new KeyedList(list, {
      key: ({ user }) => user.id,
      same: (one, other) => one.drawn === other.drawn,
      draw: (item) => this.#draw(item),
    });
  }

  /** @override */
  listen(core, signal) {
    core.on('log', ({ name }) => name === this.#name && this.#changed(), { signal });
    core.on('names', () => this.render(), { signal });
  }

  /** @param {string} name */
  open(name) {
    this.#name = name;
    this.#adding.hidden = true;
    this.#members = [];
    this.#more = false;
    setText(this.#error, '');
    this.render();
    this.#load();
  }

  leave() {
    this.#name = null;
  }

  get #channel() {
    return this.core?.channel(this.#name ?? '');
  }

  /** Somebody came or went. */
  #changed() {
    const newest = this.#channel?.notes.at(-1);
    if (newest && newest.op !== 'changed') this.#load();
  }

  /** @param {string} [after] an id */
  async #load(after) {
    const run = (this.#run += 1);
    const name = this.#name;
    if (name === null || !this.core.hasMembership) return;
    try {
      const { members, more } = await this.core.membership.members(name, after);
      if (run !== this.#run || name !== this.#name) return;
      this.#last = members.at(-1)?.user.id;
      this.#members = after ? [...this.#members, ...members] : members;
      this.#members.sort(
        (one, other) =>
          Number(other.role === 'owner') - Number(one.role === 'owner') || one.user.name.localeCompare(other.user.name),
      );
      this.#more = more;
      this.render();
    } catch (error) {
      if (run === this.#run) setText(this.#error, error.message);
    }
  }

  render() {
    const channel = this.#channel;
    if (!channel) return;
    const { kind, isOwner, archived, memberCount } = channel;
    const count = Math.max(memberCount ?? 0, this.#members.length);
    setText(this.#heading, count > 0 ? counted(count, 'person', 'people') : 'People');
    const isAdding = kind === 'private' && isOwner && !archived;
    if (isAdding && this.#adding.hidden) this.#offer();
    this.#adding.hidden = !isAdding;
    if (isAdding) this.#field.excluded = this.#members.map(({ user }) => user.id);
    this.#next.hidden = !this.#more;
    const manages = isAdding;
    this.#rows.show(
      this.#members.map((member) => {
        const { role, online } = member;
        const user = this.core.names.of(member.user);
        const acts = manages && user.id !== this.core.user.id;
        return { user, role, acts, online, drawn: JSON.stringify([user, role, online, acts]) };
      }),
    );
  }

  #offer() {
    this.#field.core = this.core;
    this.#field.reset({ label: 'Add people', quiet: true });
    this.#addButton.hidden = true;
  }

  #add(event, button) {
    event.preventDefault();
    const ids = this.#field.chosen.map(({ id }) => id);
    if (ids.length === 0) return;
    attempt(button, this.#error, async () => {
      await this.core.membership.add(/** @type {string} */ (this.#name), ids);
      this.#offer();
    });
  }

  #draw({ user, role, acts, online }) {
    const { membership } = this.core;
    const button = (label, style, act) =>
      h(
        'button',
        {
          type: 'button',
          class: style,
          'aria-label': `${label}: ${user.name}`,
          on: { click: ({ currentTarget }) => act(currentTarget) },
        },
        label,
      );
    const next = role === 'owner' ? 'member' : 'owner';
    const setRole = (from) =>
      attempt(from, this.#error, () => membership.setRole(/** @type {string} */ (this.#name), user.id, next));
    const remove = () =>
      this.dispatchEvent(
        new CustomEvent('ask', {
          detail: {
            question: `Remove ${user.name}? They can no longer read anything in this channel.`,
            answer: `Remove ${user.name}`,
            act: (name) => membership.remove(name, user.id),
          },
        }),
      );
    const hints = [user.id === this.core.user.id && 'you', role === 'owner' && 'owner'].filter(Boolean).join(', ');
    return h(
      'li',
      {},
      h('span', { class: 'person' }, avatar(user), h('span', { class: online ? 'dot online' : 'dot' })),
      h('bdi', { class: 'name' }, user.name),
      h('span', { class: 'visually-hidden' }, online ? ' online' : ''),
      hints ? h('span', { class: 'hint' }, hints) : null,
      acts
        ? h(
            'span',
            { class: 'acts' },
            button(next === 'owner' ? 'Make owner' : 'Make member', 'link', setRole),
            button('Remove', 'link danger', remove),
          )
        : null,
    );
  }
}

customElements.define('chat-details-people', DetailsPeople);
