import { kind } from './attachment-view.js';
import { h, icon, setAttribute, setText } from './dom.js';
import { fileSize } from './format.js';
import { KeyedList } from './keyed-list.js';
import { Upload } from './upload.js';

/** The most files with one message. */
const MAX_FILES = 10;

/**
 * The files picked for the next message of one channel, and those that were refused with the reason.
 * Its element is a list; each file is an item with its progress and a way to take it back.
 */
export class UploadTray {
  element = h('ul', { class: 'tray', 'aria-label': 'Attachments', hidden: true });
  #list;
  #nextKey = 0;
  /** @type {{key: string, upload: ?Upload, name: string, reason: string, preview: ?string}[]} */
  #items = [];

  /** @param {{base: string, channel: string, limit: () => number, onChange: () => void}} options */
  constructor({ base, channel, limit, onChange }) {
    Object.assign(this, { base, channel, limit, onChange });
    this.#list = new KeyedList(this.element, {
      key: (item) => item.key,
      same: () => false,
      draw: (item, element) => this.#draw(item, element),
    });
  }

  /** @returns {import('./protocol.js').Attachment[]} those that are there */
  get attachments() {
    return this.#uploads.filter((upload) => upload.state === 'done').map((upload) => upload.attachment);
  }

  get empty() {
    return this.#items.length === 0;
  }

  get busy() {
    return this.#uploads.some((upload) => upload.state === 'sending');
  }

  /** What keeps a message from going out with all that was picked for it, or nothing. */
  get trouble() {
    const failed = this.#items.find(({ upload }) => !upload || upload.state === 'failed');
    return failed ? `“${failed.name}” was not uploaded.` : '';
  }

  /** Uploads again what failed. */
  retry() {
    for (const upload of this.#uploads) if (upload.state === 'failed') upload.retry();
  }

  get #uploads() {
    return this.#items.filter((item) => item.upload).map((item) => item.upload);
  }

  /** @param {Iterable<File>} files */
  add(files) {
    for (const file of files) {
      if (this.#uploads.length >= MAX_FILES) this.#refuse(file, `A message takes ${MAX_FILES} files.`);
      else if (file.size > this.limit()) {
        this.#refuse(file, `${fileSize(file.size)} is too large. The limit is ${fileSize(this.limit())}.`);
      } else this.#start(file);
    }
    this.#changed();
  }

  /** Forgets all, and stops what is under way. */
  clear() {
    for (const item of [...this.#items]) this.#remove(item);
  }

  #start(file) {
    const upload = new Upload({ base: this.base, channel: this.channel, file, onChange: () => this.#changed() });
    const preview = /^image\/(png|jpeg|gif|webp|avif)$/u.test(file.type) ? URL.createObjectURL(file) : null;
    this.#items.push({ key: String(this.#nextKey++), upload, name: file.name, reason: '', preview });
    upload.start();
  }

  #refuse(file, reason) {
    this.#items.push({ key: String(this.#nextKey++), upload: null, name: file.name, reason, preview: null });
  }

  #remove(item) {
    if (item.upload?.state === 'sending') item.upload.cancel();
    if (item.preview) URL.revokeObjectURL(item.preview);
    this.#items = this.#items.filter((other) => other !== item);
    this.#changed();
  }

  #changed() {
    this.#list.show(this.#items);
    this.element.hidden = this.#items.length === 0;
    this.onChange();
  }

  #draw(item, element) {
    const view = element ?? this.#create(item);
    const { upload } = item;
    const state = upload?.state ?? 'refused';
    view.className = `upload ${state}`;
    const about = view.querySelector('.file-about');
    if (state === 'sending') setText(about, `${Math.round(upload.progress * 100)} %`);
    else if (state === 'done') setText(about, [kind(item.name, upload.file.type), fileSize(upload.file.size)].filter(Boolean).join(' · '));
    else setText(about, upload?.error ?? item.reason);
    setAttribute(about, 'role', state === 'failed' || state === 'refused' ? 'alert' : null);
    const bar = view.querySelector('progress');
    bar.hidden = state !== 'sending';
    bar.value = upload?.progress ?? 0;
    view.querySelector('.link').hidden = state !== 'failed';
    const action = { sending: 'Cancel', done: 'Remove', failed: 'Remove', refused: 'Dismiss' }[state];
    setAttribute(view.querySelector('.take-back'), 'aria-label', `${action} ${item.name}`);
    return view;
  }

  #create(item) {
    const sign = item.preview ? h('img', { src: item.preview, alt: '', width: '40', height: '40' }) : icon('file');
    return h(
      'li',
      {},
      h('span', { class: 'file-icon' }, sign),
      h(
        'span',
        { class: 'file-text' },
        h('bdi', { class: 'file-name', title: item.name }, item.name),
        h('span', { class: 'file-about' }),
        h('progress', { max: '1', value: '0', 'aria-label': `Upload of ${item.name}` }),
      ),
      h('button', { type: 'button', class: 'link', hidden: true, on: { click: () => item.upload.retry() } }, 'Retry'),
      h('button', { type: 'button', class: 'take-back plain', on: { click: () => this.#remove(item) } }, icon('close')),
    );
  }
}
