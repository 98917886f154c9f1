import { h, icon, setText } from './dom.js';
import { counted } from './format.js';
import { UploadTray } from './upload-tray.js';

/** The counter appears when so many characters are left. */
const COUNT_FROM = 500;

/**
 * `<chat-composer>`: writes the next message of a channel, with its files.
 * Fires `sent` when a message is on its way.
 */
export class Composer extends HTMLElement {
  #core = null;
  #drafts = null;
  #base = '';
  #channel = null;
  /** By channel, because an upload belongs to the one it was made for. @type {Map<string, UploadTray>} */
  #trays = new Map();
  #field;
  #send;
  #counter;
  #tray;
  #files;
  #attach;

  connectedCallback() {
    if (this.#field) return;
    this.#field = h('textarea', {
      rows: '1',
      dir: 'auto',
      enterkeyhint: 'enter',
      autocomplete: 'off',
      on: { input: () => this.#typed(), keydown: (event) => this.#pressed(event), paste: (event) => this.#pasted(event) },
    });
    this.#files = h('input', { type: 'file', multiple: true, hidden: true, on: { change: () => this.#picked() } });
    this.#send = h('button', { type: 'submit', class: 'send', 'aria-label': 'Send', title: 'Send' }, icon('send'));
    this.#counter = h('span', { class: 'counter', hidden: true });
    this.#tray = h('div', { class: 'tray-place' });
    this.#attach = h(
      'button',
      { type: 'button', class: 'plain', 'aria-label': 'Attach files', title: 'Attach files', on: { click: () => this.#files.click() } },
      icon('attach'),
    );
    const line = h('div', { class: 'composer-line' }, this.#attach, this.#field, this.#counter, this.#send);
    const form = h('form', { on: { submit: (event) => this.#submitted(event) } }, this.#tray, line, this.#files);
    this.append(form);
  }

  /** @param {{core: import('./chat-core.js').ChatCore, drafts: import('./drafts.js').Drafts, base: string}} parts */
  wire({ core, drafts, base }) {
    this.#core = core;
    this.#drafts = drafts;
    this.#base = base;
    core.on('ready', () => this.#update());
  }

  /** @param {?string} name */
  show(name) {
    this.#channel = name;
    this.hidden = name === null;
    if (name === null) return;
    this.#field.value = this.#drafts.get(name);
    this.#field.placeholder = `Message #${name}`;
    this.#field.setAttribute('aria-label', `Message #${name}`);
    this.#tray.replaceChildren(this.#trayOf(name).element);
    this.#update();
  }

  focus() {
    this.#field.focus();
  }

  /** Attaches files that were dropped somewhere around. @param {Iterable<File>} files */
  attach(files) {
    if (!this.#takesFiles) return;
    this.#trayOf(this.#channel).add(files);
    this.focus();
  }

  #trayOf(name) {
    const known = this.#trays.get(name);
    if (known) return known;
    const tray = new UploadTray({
      base: this.#base,
      channel: name,
      limit: () => this.#core.limits.attachment_bytes,
      onChange: () => name === this.#channel && this.#update(),
    });
    this.#trays.set(name, tray);
    return tray;
  }

  #picked() {
    this.attach([...this.#files.files]);
    this.#files.value = '';
  }

  #pasted(event) {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    this.attach(files);
  }

  #typed() {
    this.#drafts.set(this.#channel, this.#field.value);
    if (this.#field.value !== '') this.#core.typing(this.#channel);
    this.#update();
  }

  #pressed(event) {
    // 229 is what browsers report for a key that an input method has taken, some of them after the composition ended.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    if (matchMedia('(pointer: coarse)').matches) return;
    event.preventDefault();
    this.#trySend();
  }

  #submitted(event) {
    event.preventDefault();
    this.#trySend();
    this.focus();
  }

  /** What would be sent: the indent of the first line and of code stays, empty lines around go. */
  get #text() {
    return this.#field.value.replace(/^(?:[^\S\n]*\n)+/u, '').trimEnd();
  }

  get #takesFiles() {
    return this.#core.limits.attachment_bytes > 0;
  }

  get #left() {
    return this.#core.limits.text_chars - [...this.#text].length;
  }

  get #ready() {
    const tray = this.#trayOf(this.#channel);
    return !tray.busy && this.#left >= 0 && (this.#text !== '' || tray.attachments.length > 0);
  }

  #trySend() {
    if (!this.#ready) return;
    const tray = this.#trayOf(this.#channel);
    try {
      this.#core.send(this.#channel, { text: this.#text, attachments: tray.attachments });
    } catch (error) {
      this.#field.setCustomValidity(error.message);
      this.#field.reportValidity();
      return;
    }
    this.#field.value = '';
    this.#drafts.sent(this.#channel);
    tray.clear();
    this.#update();
    this.dispatchEvent(new Event('sent'));
  }

  #update() {
    if (this.#channel === null) return;
    this.#field.setCustomValidity('');
    this.#send.disabled = !this.#ready;
    this.#attach.hidden = !this.#takesFiles;
    const left = this.#left;
    this.#counter.hidden = left > COUNT_FROM;
    this.#counter.classList.toggle('over', left < 0);
    setText(this.#counter, left < 0 ? `${counted(-left, 'character')} too many` : String(left));
    this.#grow();
  }

  /** One line, then as many as are written, up to what the style sheet allows. */
  #grow() {
    this.#field.style.height = 'auto';
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }
}

customElements.define('chat-composer', Composer);
