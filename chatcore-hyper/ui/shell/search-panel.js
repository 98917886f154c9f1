import { avatar } from '../views/avatar.js';
import { around, h, icon, setText } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';
import { counted, dayName, clockTime, fullTime } from '../text/format.js';
import { channelHash } from '../dom/route.js';
import { foundLine } from '../text/search-result.js';
import { channelSign } from '../views/channel-sign.js';

/** An answer may have few messages though there are more: so many calls go by themselves … */
const CALLS = 8;

/** … or until so many are found. */
const ENOUGH = 20;

/** `<chat-search>`: finds messages of the open channel, or of all that one may read. Fires `opened` when a result is followed, and `closed`. */
export class SearchPanel extends LiveElement {
  /** The name of a channel, or null. @type {any} */
  #channel = null;
  #query = '';
  /** From where older ones are looked for. @type {any} */
  #before = null;
  #found = 0;
  /** Counts the searches, so that a late answer is known as such. */
  #run = 0;
  #field;
  #title;
  /** Chooses between the open channel and all. */
  #scope;
  /** Where the results of each channel are listed. @type {Map<string, HTMLElement>} */
  #groups = new Map();
  #status;
  #list;
  #older;

  /** @override */
  build() {
    this.hidden = true;
    this.#field = h('input', {
      type: 'search',
      'aria-label': 'Search for',
      placeholder: 'Search for words',
      enterkeyhint: 'search',
      autocomplete: 'off',
      dir: 'auto',
    });
    this.#title = h('h2');
    this.#status = h('p', { class: 'hint', role: 'status' });
    const everywhere = h('option', { value: 'all' }, 'All channels');
    this.#scope = h(
      'select',
      { 'aria-label': 'Where to search', on: { change: () => this.#submitted() } },
      h('option', { value: 'channel' }),
      everywhere,
    );
    this.#list = h('ul', {
      on: { click: (event) => around(event, 'a') && this.dispatchEvent(new Event('opened')) },
    });
    this.#older = h('button', { type: 'button', class: 'quiet', hidden: true, on: { click: () => this.#search() } });
    const close = { type: 'button', class: 'plain', 'aria-label': 'Close search', on: { click: () => this.close() } };
    this.append(
      h('div', { class: 'section-head' }, this.#title, h('button', close, icon('close'))),
      h(
        'form',
        { role: 'search', on: { submit: (event) => this.#submitted(event) } },
        this.#field,
        h('button', { type: 'submit', class: 'plain', 'aria-label': 'Search' }, icon('search')),
        this.#scope,
      ),
      h('div', { class: 'results' }, this.#status, this.#list, this.#older),
    );
    this.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      event.preventDefault();
      this.close();
    });
  }

  /** @override */
  listen(core, signal) {
    core.on('removed', ({ name }) => name === this.#channel && this.#reset(''), { signal });
    const isBack = () => this.#status.classList.contains('offline') && core.connection.phase === 'open';
    core.on('state', () => isBack() && this.#search(), { signal });
  }

  /** @param {?string} name */
  set channel(name) {
    if (name === this.#channel) return;
    this.#channel = name;
    // What was found everywhere is still there to be followed.
    if (!this.#isEverywhere) this.#reset('');
    this.#showScope();
    if (name === null) this.close();
  }

  get #isEverywhere() {
    return this.#scope.value === 'all';
  }

  #showScope() {
    const label = this.#channel === null ? '' : this.core.label(this.#channel);
    this.#scope.hidden = !this.core.hasMembership;
    if (this.#scope.hidden) this.#scope.value = 'channel';
    setText(this.#scope.options[0], label);
    setText(this.#title, this.#isEverywhere ? 'Search all channels' : `Search ${label}`);
  }

  focus() {
    this.#field.focus();
  }

  open() {
    this.hidden = false;
    this.#showScope();
    this.#field.maxLength = this.core.limits.query_chars;
    this.focus();
    this.#field.select();
  }

  close() {
    if (this.hidden) return;
    this.hidden = true;
    this.dispatchEvent(new Event('closed'));
  }

  #reset(query) {
    this.#run += 1;
    this.#query = query;
    this.#before = null;
    this.#found = 0;
    this.#list.replaceChildren();
    this.#groups.clear();
    this.#older.hidden = true;
    this.#say('');
  }

  /** @param {Event} [event] */
  #submitted(event) {
    event?.preventDefault();
    this.#showScope();
    const query = this.#field.value.trim();
    this.#reset(query);
    if (query !== '') this.#search();
  }

  async #search() {
    const run = (this.#run += 1);
    this.#older.hidden = true;
    this.#say('Searching…');
    const goal = this.#found + ENOUGH;
    let more = true;
    try {
      for (let calls = 0; more && calls < CALLS && this.#found < goal; calls++) {
        const answer = await this.core.search(this.#isEverywhere ? null : this.#channel, this.#query, this.#before);
        if (run !== this.#run) return;
        more = answer.more;
        this.#before = answer.before;
        this.#add(answer.messages);
      }
    } catch (error) {
      if (run === this.#run) this.#failed(error);
      return;
    }
    this.#offer(more ? 'Search older messages' : null);
    if (this.#found > 0)
      this.#say(more ? `The newest ${counted(this.#found, 'result')}` : counted(this.#found, 'result'));
    else this.#say(more ? 'Nothing among the newer messages.' : `No message contains “${this.#query}”.`);
  }

  #failed(error) {
    const offline = error.code === 'disconnected';
    this.#say(
      offline ? 'Searching needs a connection. It continues by itself.' : `The search failed: ${error.message}`,
      offline,
    );
    this.#offer(offline || !error.retryable ? null : 'Try again');
  }

  #offer(label) {
    this.#older.hidden = label === null;
    setText(this.#older, label ?? '');
  }

  #say(text, offline = false) {
    this.#status.classList.toggle('offline', offline);
    setText(this.#status, text);
  }

  /** @param {(import('../core/protocol.js').Message & {channel: string})[]} messages oldest first */
  #add(messages) {
    this.#found += messages.length;
    for (const message of messages.toReversed()) this.#groupOf(message.channel).append(this.#draw(message));
  }

  /** The list of one channel's results, under its name where there are several. @param {string} name */
  #groupOf(name) {
    if (!this.#isEverywhere) return this.#list;
    const known = this.#groups.get(name);
    if (known) return known;
    const group = h('ul', { 'aria-label': this.core.label(name) });
    const sign = channelSign(this.core.channel(name), this.core.user);
    const title = h('bdi', {}, this.core.channel(name)?.title ?? name);
    this.#list.append(h('li', {}, h('h3', { class: 'result-channel' }, sign, title), group));
    this.#groups.set(name, group);
    return group;
  }

  #draw(message) {
    const at = new Date(message.at);
    const author = this.core.names.of(message.author);
    const text = foundLine(message.text, this.#query).map(({ text: part, hit }) => (hit ? h('mark', {}, part) : part));
    const head = h(
      'span',
      { class: 'result-head' },
      h('bdi', { class: 'author' }, author.name),
      h('time', { datetime: message.at, title: fullTime(at) }, `${dayName(at, new Date())}, ${clockTime(at)}`),
    );
    return h(
      'li',
      {},
      h(
        'a',
        { href: channelHash(message.channel, message.seq) },
        avatar(author),
        h('span', { class: 'result-body' }, head, h('span', { class: 'result-text', dir: 'auto' }, ...text)),
      ),
    );
  }
}

customElements.define('chat-search', SearchPanel);
