import { Completion } from './completion.js';
import { askedOf, knownOf } from './mentionable.js';
import { OutsiderLine } from './outsider.js';
import { h, icon, setText } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';
import { foldersOf } from './drops.js';
import { EmojiPicker } from '../views/emoji-picker.js';
import { isComposed, toggleSign, writeInto } from '../dom/field.js';
import { counted, number } from '../text/format.js';
import { endsInFence } from '../text/markdown.js';
import { peopleOf } from '../core/people.js';
import { UploadTray } from './upload-tray.js';
import { WritingLine } from './writing.js';

/** For files of a message on its way out: they were within the limits when they were attached. */
const UNLIMITED = () => ({ attachment_bytes: Infinity, attachments: Infinity });

/** The counter appears when so many characters are left. */
const COUNT_FROM = 500;

/** A text that is longer than so many messages is attached as a file. */
const HUGE = 4;

/**
 * `<chat-composer>`: writes the next message of a channel, with its files, or an own one anew.
 * Fires `sent` with the outbox's entry when a message is on its way, and `remove` with the seq of one that is to be deleted.
 */
export class Composer extends LiveElement {
  /** @type {import('../core/drafts.js').Drafts} */
  drafts;
  /** Where the chat service is mounted. */
  base = '';
  /** The name of a channel, or null. @type {any} */
  #channel = null;
  /** By channel, because an upload belongs to the one it was made for. @type {Map<string, UploadTray>} */
  #trays = new Map();
  #field;
  #send;
  #counter;
  #tray;
  #files;
  #attach;
  #completion;
  #picker = new EmojiPicker();
  /** @type {import('./writing.js').Writing} */
  #writing = { kind: 'new' };
  #outsider = new OutsiderLine();
  #line = new WritingLine({ onCancel: () => this.#cancel(), onRemove: () => this.#remove() });

  /** @override */
  build() {
    this.#field = h('textarea', {
      rows: '1',
      dir: 'auto',
      enterkeyhint: 'enter',
      autocomplete: 'off',
      on: {
        input: () => this.#typed(),
        keydown: (event) => this.#pressed(event),
        beforeinput: (event) => this.#inserting(event),
        paste: (event) => this.#pasted(event),
      },
    });
    this.#files = h('input', { type: 'file', multiple: true, hidden: true, on: { change: () => this.#picked() } });
    this.#send = h('button', { type: 'submit', class: 'send', 'aria-label': 'Send', title: 'Send' }, icon('send'));
    this.#counter = h('span', { class: 'counter', hidden: true });
    this.#tray = h('div', { class: 'tray-place' });
    this.#attach = h(
      'button',
      {
        type: 'button',
        class: 'plain',
        'aria-label': 'Attach files',
        title: 'Attach files',
        on: { click: () => this.#files.click() },
      },
      icon('attach'),
    );
    this.#completion = new Completion(this.#field, {
      known: () => knownOf(this.core, peopleOf(this.#info, this.core.user), this.#info),
      ask: (query) => askedOf(this.core, this.#info, query),
      onMentioned: ({ user, isOutside }) => isOutside && user && this.#outsider.show(user, this.#channel, this.core),
    });
    const emoji = {
      type: 'button',
      class: 'plain',
      'aria-label': 'Insert an emoji',
      title: 'Emoji',
      on: { click: ({ currentTarget }) => this.#pickEmoji(currentTarget) },
    };
    const line = h(
      'div',
      { class: 'composer-line' },
      this.#attach,
      this.#field,
      this.#counter,
      h('button', emoji, icon('smile')),
      this.#send,
    );
    const form = h(
      'form',
      { on: { submit: (event) => this.#submitted(event) } },
      this.#outsider.element,
      this.#line.element,
      this.#tray,
      line,
      this.#files,
      this.#completion.element,
    );
    this.append(form);
    let width = 0;
    new ResizeObserver(([{ contentRect }]) => {
      // In a frame of its own: the height is observed too.
      if (contentRect.width > 0 && contentRect.width !== width) requestAnimationFrame(() => this.#grow());
      width = contentRect.width;
    }).observe(this.#field);
  }

  /** @override */
  listen(core, signal) {
    const { base } = this;
    core.on('ready', () => this.#update(), { signal });
    this.drafts.onGone = (name) => this.#gone(name);
    core.outbox.uploadsOf = ({ channel, attachments, files }) => {
      const tray = new UploadTray({ base, channel, limits: UNLIMITED, onChange: () => {} });
      tray.restore({ files: attachments, lost: [] });
      tray.add(files ?? []);
      return tray;
    };
  }

  /** @param {?string} name */
  set channel(name) {
    this.#channel = name;
    this.hidden = name === null;
    if (name === null) return;
    this.#completion.close();
    this.#outsider.hide();
    this.label = this.core.label(name);
    this.#load();
    if (this.core.hasMembership) this.core.membership.meet(this.#field.value);
  }

  /** How the channel is called. @param {string} label */
  set label(label) {
    if (this.#field.placeholder === `Message ${label}`) return;
    this.#field.placeholder = `Message ${label}`;
    this.#field.setAttribute('aria-label', `Message ${label}`);
  }

  get #info() {
    return this.core.channel(this.#channel);
  }

  get #draft() {
    return this.drafts.get(this.#channel);
  }

  /** Shows the channel's draft. */
  #load() {
    const { text, reply, edit } = this.#draft;
    const message = edit?.message ?? reply;
    this.#writing = message ? { kind: edit ? 'edit' : 'reply', message } : { kind: 'new' };
    this.#line.show(this.#writing);
    this.#field.value = edit?.text ?? text;
    this.#tray.replaceChildren(this.#trayOf(this.#channel).element);
    this.#update();
  }

  /** @param {Partial<import('../core/drafts.js').Draft>} change */
  #change(change) {
    this.drafts.set(this.#channel, change);
    this.#load();
  }

  /** Another tab has sent the draft. */
  #gone(name) {
    this.#trays.get(name)?.clear();
    if (name === this.#channel) this.#load();
  }

  focus() {
    this.#field.focus();
  }

  /** Writes the next message as a reply. @param {import('../core/protocol.js').Message} message */
  reply(message) {
    this.#change({ edit: null, reply: message });
    this.focus();
  }

  /** Writes an own message anew; the draft waits. @param {import('../core/protocol.js').Message} message @param {string} [text] */
  edit(message, text = message.text) {
    this.#change({ edit: { message, text } });
    this.focus();
    this.#field.setSelectionRange(text.length, text.length);
  }

  /** Goes back to writing a new message. */
  #cancel() {
    const { kind } = this.#writing;
    if (kind === 'new') return;
    this.#change(kind === 'edit' ? { edit: null } : { reply: null });
    this.focus();
  }

  #remove() {
    const seq = this.#writing.message?.seq;
    this.#cancel();
    this.dispatchEvent(new CustomEvent('remove', { detail: seq }));
  }

  #editLast() {
    const { messages } = this.core.channel(this.#channel) ?? { messages: [] };
    const last = messages.findLast(({ author, deleted }) => author.id === this.core.user.id && !deleted);
    if (last && !this.core.changes.isLeaving(this.#channel, last.seq)) this.edit(last);
    return Boolean(last);
  }

  #pickEmoji(button) {
    const { selectionStart, selectionEnd } = this.#field;
    this.#picker.open(button, (emoji) => writeInto(this.#field, emoji, selectionStart, selectionEnd));
  }

  /** Whether files can be attached to what is written now. */
  get takesFiles() {
    return !this.hidden && this.#hasAttachments && this.#writing.kind !== 'edit';
  }

  /** Attaches files, or says that they can't be. @param {Iterable<File>} files @param {Set<string>} [folders] @returns {boolean} whether it did */
  attach(files, folders) {
    this.focus();
    if (!this.takesFiles) {
      this.#object('Files can’t be attached here.');
      return false;
    }
    this.#trayOf(this.#channel).add(files, folders);
    return true;
  }

  /** Writes and attaches what was dropped somewhere around. @param {DataTransfer} data */
  drop(data) {
    if (this.hidden || this.#channel === null) return;
    const { files, text } = partsOf(data);
    if (files.length > 0) this.attach(files, foldersOf(data));
    if (text !== '') writeInto(this.#field, text);
  }

  #trayOf(name) {
    const known = this.#trays.get(name);
    if (known) return known;
    const tray = new UploadTray({
      base: this.base,
      channel: name,
      limits: () => this.core.limits,
      onChange: () => this.#filesChanged(name, tray),
    });
    this.#trays.set(name, tray);
    tray.restore(this.drafts.get(name));
    return tray;
  }

  #filesChanged(name, { attachments, lost }) {
    this.drafts.set(name, { files: attachments, lost });
    if (name === this.#channel) this.#update();
  }

  #picked() {
    this.attach([...this.#files.files]);
    this.#files.value = '';
  }

  #pasted(event) {
    const { files, text } = partsOf(event.clipboardData);
    // The browser writes the text.
    if (files.length > 0 && this.attach(files, foldersOf(event.clipboardData)) && text === '') event.preventDefault();
  }

  /** A text that no message takes becomes a file: in the field it would hold up the page for seconds. */
  #inserting(event) {
    const text = event.data ?? '';
    const { text_chars } = this.core.limits;
    if (text.length <= HUGE * text_chars) return;
    event.preventDefault();
    if (this.takesFiles) this.attach([new File([text], 'text.txt', { type: 'text/plain' })]);
    else this.#object(`${counted(text.length, 'character')} are too many: a message takes ${number(text_chars)}.`);
  }

  #typed() {
    const { value: text } = this.#field;
    const { kind, message } = this.#writing;
    this.drafts.set(this.#channel, kind === 'edit' ? { edit: { message, text } } : { text });
    this.#line.show(this.#writing);
    this.#completion.update();
    if (this.#field.value !== '') this.core.typing(this.#channel);
    this.#update();
  }

  #pressed(event) {
    if (isComposed(event)) return;
    if (this.#completion.pressed(event) || this.#shortcut(event)) return event.preventDefault();
    if (event.key !== 'Enter' || event.shiftKey || matchMedia('(pointer: coarse)').matches) return;
    const { value, selectionStart } = this.#field;
    // Within code that is not closed it makes a new line.
    if (!event.ctrlKey && !event.metaKey && endsInFence(value) && endsInFence(value.slice(0, selectionStart))) return;
    event.preventDefault();
    this.#trySend();
  }

  /** @returns {boolean} whether the key was one */
  #shortcut({ key, ctrlKey, metaKey, altKey, shiftKey }) {
    const plain = !ctrlKey && !metaKey && !altKey && !shiftKey;
    const sign = { b: '**', i: '*' }[key.toLowerCase()];
    if (plain && key === 'ArrowUp' && this.#field.value === '' && this.#writing.kind === 'new') return this.#editLast();
    if (plain && key === 'Escape' && this.#writing.kind !== 'new') this.#cancel();
    else if ((ctrlKey || metaKey) && !altKey && !shiftKey && sign) toggleSign(this.#field, sign);
    else return false;
    return true;
  }

  #submitted(event) {
    event.preventDefault();
    this.focus();
    this.#trySend();
  }

  /** What would be sent: the indent of the first line and of code stays, empty lines around go. */
  get #text() {
    return this.#field.value.replace(/^(?:[^\S\n]*\n)+/u, '').trimEnd();
  }

  get #hasAttachments() {
    return this.core?.limits.attachment_bytes > 0;
  }

  get #left() {
    return this.core.limits.text_chars - [...this.#text].length;
  }

  get #ready() {
    if (this.#writing.kind === 'edit') return this.#left >= 0;
    return this.#left >= 0 && (this.#text !== '' || !this.#trayOf(this.#channel).empty);
  }

  #trySend() {
    if (!this.#ready) return undefined;
    if (this.#writing.kind === 'edit') return this.#save();
    const tray = this.#trayOf(this.#channel);
    if (tray.trouble) return this.#object(`${tray.trouble} Try it again, or take it out to send without it.`);
    const { attachments, busy } = tray;
    let entry;
    try {
      entry = this.core.send(this.#channel, {
        text: this.#text,
        attachments,
        reply_to: this.#writing.message?.seq ?? null,
        uploads: busy ? tray : null,
      });
    } catch (error) {
      return this.#object(error.message);
    }
    this.drafts.sent(this.#channel);
    this.#completion.close();
    this.#outsider.hide();
    // What is still uploaded goes with its message.
    if (busy) this.#trays.delete(this.#channel);
    else tray.clear();
    this.#load();
    return this.dispatchEvent(new CustomEvent('sent', { detail: entry }));
  }

  /** Says beside the field why nothing happens. @param {string} text */
  #object(text) {
    this.#field.setCustomValidity(text);
    return this.#field.reportValidity();
  }

  async #save() {
    const text = this.#text;
    const { message } = this.#writing;
    const channel = this.#channel;
    if (!message) return;
    if (text === '' && message.attachments.length === 0) return this.#line.askRemove();
    this.#cancel();
    const taken = await this.core.changes.edit(channel, message.seq, text);
    const isHere = channel === this.#channel;
    // What was refused is not lost, unless something else is being written.
    if (taken || this.drafts.get(channel).edit || (isHere && this.#field.value !== '')) return;
    if (isHere) this.edit(message, text);
    else this.drafts.set(channel, { edit: { message, text } });
  }

  #update() {
    if (this.#channel === null) return;
    this.#field.setCustomValidity('');
    this.#send.disabled = !this.#ready;
    const edits = this.#writing.kind === 'edit';
    this.#attach.hidden = !this.#hasAttachments || edits;
    this.#tray.hidden = edits;
    const label = edits ? 'Save' : 'Send';
    this.#send.setAttribute('aria-label', label);
    this.#send.title = label;
    this.#send.replaceChildren(icon(edits ? 'check' : 'send'));
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

/**
 * What is new in a paste or a drop: files, and text that is more than their names.
 * @param {?DataTransfer} data
 * @returns {{files: File[], text: string}}
 */
function partsOf(data) {
  const files = [...(data?.files ?? [])];
  const text = data?.getData('text/plain') ?? '';
  const names = files.every(({ name }) => text.includes(name) || text.includes(encodeURIComponent(name)));
  if (text.trim() === '' || (files.length > 0 && names)) return { files, text: '' };
  const html = data?.getData('text/html') ?? '';
  // Office programs add a picture of the cells or words that were copied.
  return { files: html !== '' && !/<img\b/iu.test(html) ? [] : files, text };
}

customElements.define('chat-composer', Composer);
