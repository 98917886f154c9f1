import { around, h } from '../dom/dom.js';
import { findEmoji, loadEmoji } from '../text/emoji.js';
import { writeInto } from '../dom/field.js';
import { endsInFence } from '../text/markdown.js';

/** The most that is offered at once. */
const MAX_OFFERED = 8;

/** A name or a code is no longer, so no more of the text is looked at. */
const REACH = 40;

const NAME = /(?<![\p{L}\p{N}_@]|\S[/=&#])@([^@\n]{0,32})$/u;
const CODE_BEGUN = /(?<![\p{L}\p{N}_:]):([a-z0-9+][a-z0-9_+-]{1,29}|-1)$/iu;

/** What asks for a list so plainly that Enter is for it; `:D` and `:-P` do not. */
const ASKED = /^(?:@.|:[a-z]{2}|:[+-]1$)/u;

/** @typedef {{insert: string, sign: string, label: string, hint?: string, person?: import('./mentionable.js').Mentionable}} Offer */

/** What may be meant by the word before the caret: a person after `@`, an emoji after `:`; chosen with arrows and Enter. */
export class Completion {
  element = h('ul', {
    class: 'completion',
    id: 'chat-completion',
    role: 'listbox',
    'aria-label': 'Suggestions',
    hidden: true,
  });
  /** @type {Offer[]} */
  #offers = [];
  #chosen = 0;
  #from = 0;
  /** What is asked for now; an answer to something else comes too late. */
  #asked = '';
  /** Whether the arrows went to the list. */
  #entered = false;
  #writing = false;

  /**
   * @param {HTMLTextAreaElement} field
   * @param {{known: () => import('./mentionable.js').Mentionable[], ask: (query: string) => Promise<import('./mentionable.js').Mentionable[]>,
   *   onMentioned: (person: import('./mentionable.js').Mentionable) => void}} people those who can be mentioned: known here,
   *   and known to the server; `onMentioned` is told who was chosen
   */
  constructor(field, people) {
    this.field = field;
    this.people = people;
    field.setAttribute('aria-autocomplete', 'list');
    field.setAttribute('aria-controls', this.element.id);
    // The focus stays in the field.
    this.element.addEventListener('mousedown', (event) => event.preventDefault());
    this.element.addEventListener('click', (event) => {
      const at = [...this.element.children].indexOf(around(event, 'li'));
      if (at >= 0) this.#take(at);
    });
    field.addEventListener('blur', () => this.close());
  }

  get isOpen() {
    return this.#offers.length > 0;
  }

  /** Looks at what is written; called at every input. */
  async update() {
    if (this.#writing) return this.close();
    const { selectionStart: caret, selectionEnd, value } = this.field;
    const before = caret === selectionEnd ? value.slice(Math.max(0, caret - REACH), caret) : '';
    const line = value.slice(value.lastIndexOf('\n', caret - 1) + 1, caret);
    // In code a name or a code is none.
    if (endsInFence(value.slice(0, caret)) || line.split('`').length % 2 === 0) return this.close();
    const name = NAME.exec(before);
    const code = name ? null : CODE_BEGUN.exec(before);
    const asked = (name ?? code)?.[0] ?? '';
    this.#asked = asked;
    if (asked === '') return this.close();
    const from = caret - asked.length;
    if (name) return this.#offerPeople(from, name[1], asked);
    try {
      const names = await loadEmoji();
      if (this.#asked === asked) this.#offer(from, emojiOffers(names, code?.[1] ?? ''));
    } catch {
      this.close();
    }
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether the key was for the list */
  pressed({ key, shiftKey }) {
    if (!this.isOpen) return false;
    const count = this.#offers.length;
    if (key === 'ArrowDown' || key === 'ArrowUp') {
      this.#entered = true;
      this.#choose((this.#chosen + (key === 'ArrowDown' ? 1 : count - 1)) % count);
    } else if (!shiftKey && (key === 'Tab' || (key === 'Enter' && this.#takesEnter))) this.#take(this.#chosen);
    else if (key === 'Escape') this.close();
    else return false;
    return true;
  }

  /** Enter sends, unless the list was asked for. */
  get #takesEnter() {
    const { sign, label } = this.#offers[this.#chosen];
    return this.#entered || (ASKED.test(this.#asked) && (sign === '@' || label.startsWith(this.#asked)));
  }

  close() {
    this.#asked = '';
    this.#offer(0, []);
  }

  /** Offers those who are known here at once, and those whom the server knows when it has answered. */
  async #offerPeople(from, wanted, asked) {
    const known = this.people.known();
    this.#offer(from, peopleOffers(known, wanted));
    const found = await this.people.ask(wanted).catch(() => []);
    if (this.#asked !== asked || found.length === 0) return;
    const ids = new Set(known.map(({ user }) => user?.id));
    const offers = peopleOffers([...known, ...found.filter(({ user }) => !ids.has(user?.id))], wanted);
    const label = this.#offers[this.#chosen]?.label;
    const entered = this.#entered;
    this.#offer(from, offers);
    // What was chosen meanwhile is chosen still.
    const at = offers.findIndex((offer) => offer.label === label);
    if (entered && at >= 0) this.#choose(at);
    this.#entered = entered;
  }

  #offer(from, offers) {
    this.#from = from;
    this.#entered = false;
    this.#offers = offers;
    this.element.hidden = offers.length === 0;
    this.element.replaceChildren(
      ...offers.map(({ sign, label, hint }, at) =>
        h(
          'li',
          { role: 'option', id: `chat-offer-${at}` },
          h('span', { class: 'offer-sign' }, sign),
          h('bdi', {}, label),
          hint ? h('span', { class: 'hint' }, hint) : null,
        ),
      ),
    );
    if (offers.length > 0) this.#choose(0);
    else this.field.removeAttribute('aria-activedescendant');
  }

  #choose(at) {
    this.#chosen = at;
    for (const [place, option] of [...this.element.children].entries())
      option.setAttribute('aria-selected', String(place === at));
    this.field.setAttribute('aria-activedescendant', `chat-offer-${at}`);
    this.element.children[at].scrollIntoView({ block: 'nearest' });
  }

  #take(at) {
    const { insert, person } = this.#offers[at];
    this.#writing = true;
    writeInto(this.field, insert, this.#from, this.field.selectionStart);
    this.#writing = false;
    this.close();
    if (person) this.people.onMentioned(person);
  }
}

/** @param {import('./mentionable.js').Mentionable[]} people @param {string} wanted @returns {Offer[]} */
function peopleOffers(people, wanted) {
  const text = wanted.toLowerCase();
  const fits = (name) =>
    name.startsWith(text) || (text !== '' && name.split(/\s+/u).some((word) => word.startsWith(text)));
  // A name that is written out needs no help, and the next Enter is to send.
  if (people.some(({ name }) => name.toLowerCase() === text)) return [];
  return people
    .filter(({ name }) => fits(name.toLowerCase()))
    .sort(
      (one, other) =>
        Number(one.isOutside) - Number(other.isOutside) ||
        Number(!one.user) - Number(!other.user) ||
        one.name.localeCompare(other.name),
    )
    .slice(0, MAX_OFFERED)
    .map((person) => ({ insert: `@${person.name} `, sign: '@', label: person.name, hint: person.hint, person }));
}

function emojiOffers(names, wanted) {
  return findEmoji(names, wanted, MAX_OFFERED).map(({ sign, code }) => ({
    insert: `${sign} `,
    sign,
    label: `:${code}:`,
  }));
}
