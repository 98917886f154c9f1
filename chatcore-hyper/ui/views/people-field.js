import { avatar } from './avatar.js';
import { around, h, icon, setAttribute, setText } from '../dom/dom.js';
import { isComposed } from '../dom/field.js';
import { LiveElement } from '../dom/live-element.js';

/** How long somebody may go on typing before the server is asked. */
const PAUSE_MS = 120;

/** How near the end of the list the reader comes before it goes on. */
const EDGE_PX = 80;

/**
 * `<chat-people-field>`: chooses people by name, of all that the server knows. Fires `chosen` when the choice changes.
 * Above the list stand those who are chosen.
 */
export class PeopleField extends LiveElement {
  static #made = 0;
  /** @type {import('../core/protocol.js').User[]} */
  chosen = [];
  /** Ids of people who can't be chosen. @type {Set<string>} */
  #excluded = new Set();
  /** Whether nobody is listed before something is typed. */
  #isQuiet = false;
  /** @type {import('../core/protocol.js').User[]} */
  #found = [];
  #more = false;
  /** The last one in the server's order. @type {string | undefined} */
  #last;
  #at = 0;
  /** Counts the questions, so that a late answer is known as such. */
  #run = 0;
  /** @type {any} */
  #timer = null;
  #most = 50;
  #tokens;
  #field;
  #list;
  #status;

  /** @override */
  build() {
    const id = `people-${(PeopleField.#made += 1)}`;
    this.#tokens = h('ul', { class: 'tokens', 'aria-label': 'Chosen people' });
    this.#field = h('input', {
      role: 'combobox',
      'aria-expanded': 'true',
      'aria-controls': id,
      'aria-autocomplete': 'list',
      autocomplete: 'off',
      autocapitalize: 'none',
      spellcheck: 'false',
      maxlength: '32',
      dir: 'auto',
      on: { input: () => this.#later(), keydown: (event) => this.#pressed(event) },
    });
    this.#list = h('ul', {
      id,
      role: 'listbox',
      'aria-label': 'People',
      'aria-multiselectable': 'true',
      on: { click: (event) => this.#clicked(event), scroll: () => this.#scrolled() },
    });
    this.#status = h('p', { class: 'hint', role: 'status' });
    this.append(this.#tokens, this.#field, this.#list, this.#status);
  }

  /**
   * Begins anew.
   * @param {{label: string, excluded?: Iterable<string>, most?: number, quiet?: boolean}} options `label` says what it is
   *   for; `most` people can be chosen; if `quiet`, nobody is listed before something is typed
   */
  reset({ label, excluded = [], most = 50, quiet = false }) {
    this.#field.setAttribute('aria-label', label);
    this.#field.placeholder = label;
    this.#field.value = '';
    this.#excluded = new Set(excluded);
    this.#most = most;
    this.#isQuiet = quiet;
    this.chosen = [];
    this.#show([], false);
    this.#drawTokens();
    this.#search();
  }

  /** Lets these be chosen no longer. @param {Iterable<string>} ids */
  set excluded(ids) {
    this.#excluded = new Set(ids);
    this.#draw();
  }

  focus() {
    this.#field.focus();
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#search(), PAUSE_MS);
  }

  /** Asks for the first page, or for the one after what is there. @param {string} [after] an id */
  async #search(after) {
    const run = (this.#run += 1);
    const query = this.#field.value.trim();
    if (this.#isQuiet && query === '') return this.#show([], false);
    try {
      const { users, more } = await this.core.membership.users({ query, after });
      if (run !== this.#run) return;
      this.#last = users.at(-1)?.id;
      const found = after ? [...this.#found, ...users] : users;
      found.sort((one, other) => one.name.localeCompare(other.name));
      this.#show(found, more, after !== undefined);
    } catch (error) {
      if (run !== this.#run) return;
      const reason = error.code === 'disconnected' ? 'Finding people needs a connection.' : error.message;
      setText(this.#status, reason);
    }
  }

  #scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.#list;
    if (!this.#more || scrollHeight - scrollTop - clientHeight > EDGE_PX) return;
    this.#more = false;
    this.#search(this.#last);
  }

  /** Those that can be chosen now. */
  get #offered() {
    const taken = new Set([...this.#excluded, ...this.chosen.map(({ id }) => id)]);
    return this.#found.filter(({ id, deleted }) => !taken.has(id) && !deleted);
  }

  #show(found, more, goesOn = false) {
    this.#found = found;
    this.#more = more;
    if (!goesOn) this.#at = 0;
    this.#draw();
    const isFull = this.chosen.length >= this.#most;
    const nobody = this.#field.value.trim() === '' ? '' : `Nobody is called “${this.#field.value.trim()}”.`;
    setText(this.#status, isFull ? `${this.#most} people are the most.` : this.#offered.length > 0 ? '' : nobody);
  }

  #draw() {
    const views = this.#offered.map((user, at) =>
      h(
        'li',
        { role: 'option', id: `${this.#list.id}-${at}` },
        avatar(user),
        h('bdi', { class: 'name' }, user.name),
        user.id === this.core.user.id ? h('span', { class: 'hint' }, 'you') : null,
      ),
    );
    this.#list.replaceChildren(...views);
    this.#list.hidden = views.length === 0;
    this.#field.setAttribute('aria-expanded', String(views.length > 0));
    this.#select(Math.min(this.#at, views.length - 1));
  }

  #select(at) {
    this.#at = Math.max(0, at);
    const options = [...this.#list.children];
    for (const [index, view] of options.entries()) view.setAttribute('aria-selected', String(index === this.#at));
    options[this.#at]?.scrollIntoView({ block: 'nearest' });
    setAttribute(this.#field, 'aria-activedescendant', options[this.#at]?.id ?? null);
  }

  #pressed(event) {
    if (isComposed(event)) return;
    const count = this.#list.childElementCount;
    const isEmpty = this.#field.value === '';
    if (event.key === 'ArrowDown') this.#select((this.#at + 1) % Math.max(count, 1));
    else if (event.key === 'ArrowUp') this.#select((this.#at - 1 + count) % Math.max(count, 1));
    else if (event.key === 'Enter' && count > 0 && !(isEmpty && this.chosen.length > 0)) this.#choose(this.#at);
    else if (event.key === 'Backspace' && isEmpty && this.chosen.length > 0) this.#change(this.chosen.slice(0, -1));
    else return;
    event.preventDefault();
  }

  #clicked(event) {
    const at = [...this.#list.children].indexOf(around(event, 'li'));
    if (at >= 0) this.#choose(at);
    this.focus();
  }

  #choose(at) {
    const user = this.#offered[at];
    if (!user || this.chosen.length >= this.#most) return;
    const asked = this.#field.value !== '';
    this.#field.value = '';
    this.#change([...this.chosen, user]);
    if (asked) this.#search();
  }

  #change(chosen) {
    this.chosen = chosen;
    this.#drawTokens();
    this.#show(this.#found, this.#more, true);
    this.dispatchEvent(new Event('chosen'));
  }

  #drawTokens() {
    this.#tokens.replaceChildren(
      ...this.chosen.map((user) => {
        const remove = () => {
          this.#change(this.chosen.filter(({ id }) => id !== user.id));
          this.focus();
        };
        const props = { type: 'button', 'aria-label': `Take out ${user.name}`, on: { click: remove } };
        return h('li', {}, h('button', props, h('bdi', {}, user.name), icon('close')));
      }),
    );
    this.#tokens.hidden = this.chosen.length === 0;
  }
}

customElements.define('chat-people-field', PeopleField);
