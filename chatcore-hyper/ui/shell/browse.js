import { around, h, icon, setText } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';
import { KeyedList } from '../dom/keyed-list.js';
import { asName, fit, OFFERED } from '../text/ranking.js';
import { attempt, dialogView } from '../views/dialog.js';

/** `<chat-browse>`: the open channels, to look into and to join. Fires `chosen` with the name of one. */
export class Browse extends LiveElement {
  #dialog;
  #field;
  #archived;
  #list;
  #rows;
  #status;
  #error;

  /** @override */
  build() {
    this.#field = h('input', {
      type: 'search',
      'aria-label': 'Find a channel',
      placeholder: 'Find a channel',
      autocomplete: 'off',
      maxlength: '64',
      dir: 'auto',
      on: { input: () => this.render() },
    });
    this.#archived = h('input', { type: 'checkbox', on: { change: () => this.#changed() } });
    this.#list = h('ul', { on: { click: (event) => this.#clicked(event) } });
    this.#status = h('p', { class: 'hint', role: 'status' });
    this.#error = h('p', { class: 'field-error', role: 'alert' });
    this.#rows = new KeyedList(this.#list, {
      key: ({ name }) => name,
      same: (one, other) => JSON.stringify(one) === JSON.stringify(other),
      draw: rowView,
    });
    this.#dialog = dialogView(
      'Browse channels',
      { id: 'browse-title', class: 'browse' },
      this.#field,
      h('label', { class: 'choice' }, this.#archived, 'Archived channels too'),
      this.#error,
      this.#list,
      this.#status,
    );
    this.append(this.#dialog);
  }

  /** @override */
  listen(core, signal) {
    core.on('channels', () => this.#dialog.open && this.render(), { signal });
  }

  open() {
    this.#field.value = '';
    setText(this.#error, '');
    this.#dialog.showModal();
    this.#field.focus();
    this.#changed();
  }

  #changed() {
    if (this.#archived.checked) this.core.listArchived();
    this.render();
  }

  render() {
    const query = asName(this.#field.value);
    const found = this.core.channels
      .filter(
        ({ createdAt, kind, archived }) => createdAt && kind !== 'direct' && (!archived || this.#archived.checked),
      )
      .filter(({ kind, archived }) => kind === 'open' || archived)
      .map((channel) => ({ channel, order: fit(asName(channel.title), query) }))
      .filter(({ order }) => order > 0)
      .sort((one, other) => other.order - one.order || one.channel.title.localeCompare(other.channel.title));
    const shown = found.slice(0, OFFERED).map(({ channel }) => {
      const { name, title, topic, kind, archived, isJoined } = channel;
      return { name, title, topic, kind, archived, isJoined };
    });
    this.#rows.show(shown);
    const rest = found.length > OFFERED ? `The first ${OFFERED} are shown. Type more of the name to find others.` : '';
    setText(this.#status, found.length > 0 ? rest : 'There is no such channel.');
  }

  #clicked(event) {
    const name = around(event, 'li')?.dataset.name;
    const button = around(event, 'button');
    if (!name || !button) return;
    if (button.classList.contains('look')) return this.#choose(name);
    attempt(button, this.#error, async () => {
      await this.core.membership.join(name);
      this.#choose(name);
    });
  }

  #choose(name) {
    this.#dialog.close();
    this.dispatchEvent(new CustomEvent('chosen', { detail: name }));
  }
}

function rowView({ name, title, topic, kind, archived, isJoined }) {
  const sign = h('span', { class: 'sign', 'aria-hidden': 'true' }, kind === 'open' ? '#' : icon('lock'));
  const state = archived ? 'archived' : isJoined ? 'joined' : null;
  return h(
    'li',
    { 'data-name': name },
    h(
      'button',
      { type: 'button', class: 'look' },
      sign,
      h(
        'span',
        { class: 'about' },
        h('bdi', { class: 'name' }, title),
        topic ? h('bdi', { class: 'topic' }, topic) : null,
      ),
    ),
    state
      ? h('span', { class: 'hint' }, state)
      : h('button', { type: 'button', class: 'primary', 'aria-label': `Join ${title}` }, 'Join'),
  );
}

customElements.define('chat-browse', Browse);
