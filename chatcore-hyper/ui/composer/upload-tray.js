import { kind } from '../views/attachment-view.js';
import { h, icon, setAttribute, setText } from '../dom/dom.js';
import { fileSize } from '../text/format.js';
import { KeyedList } from '../dom/keyed-list.js';
import { plainName } from '../core/protocol.js';
import { Upload } from './upload.js';

/**
 * The files picked for the next message of one channel, and those that were refused with the reason.
 * Its element is a list; each file is an item with its progress and a way to take it back.
 */
export class UploadTray {
  element = h('ul', { class: 'tray', 'aria-label': 'Attachments', hidden: true });
  #list;
  #nextKey = 0;
  /**
   * `file` was uploaded before the page was loaded; of a `lost` one only the name is left.
   * @type {{key: string, upload: ?Upload, file: ?import('../core/protocol.js').Attachment, name: string, reason: string, preview: ?string, lost: boolean}[]}
   */
  #items = [];

  /** @param {{base: string, channel: string, limits: () => {attachment_bytes: number, attachments: number}, onChange: () => void}} options */
  constructor({ base, channel, limits, onChange }) {
    this.base = base;
    this.channel = channel;
    this.limits = limits;
    this.onChange = onChange;
    this.#list = new KeyedList(this.element, {
      key: (item) => item.key,
      same: () => false,
      draw: (item, element) => this.#draw(item, element),
    });
  }

  /** @returns {import('../core/protocol.js').Attachment[]} those that are there */
  get attachments() {
    return this.#items.flatMap(({ upload, file }) => upload?.attachment ?? file ?? []);
  }

  /** Those that have yet to be uploaded. @returns {File[]} */
  get files() {
    return this.#uploads.filter((upload) => !upload.attachment).map(({ file }) => file);
  }

  /** The names of those that would not outlive the page. */
  get lost() {
    return this.#items.filter(({ upload, lost }) => lost || (upload && !upload.attachment)).map(({ name }) => name);
  }

  get empty() {
    return this.#items.length === 0;
  }

  get busy() {
    return this.#uploads.some((upload) => upload.state === 'sending');
  }

  /** What keeps a message from going out with all that was picked for it, or nothing. */
  get trouble() {
    const failed = this.#items.find((item) => ['failed', 'refused'].includes(stateOf(item)));
    return failed ? `“${failed.name}” was not uploaded.` : '';
  }

  /** Uploads again what failed. */
  retry() {
    for (const upload of this.#uploads) if (upload.state === 'failed') upload.retry();
  }

  get #uploads() {
    return this.#items.flatMap(({ upload }) => upload ?? []);
  }

  /** @param {Iterable<File>} files @param {Set<string>} [folders] the names of those that are none */
  add(files, folders) {
    const { attachment_bytes: most, attachments } = this.limits();
    for (const file of files) {
      if (folders?.has(file.name)) this.#refuse(file, 'This is a folder. Attach the files that are in it.');
      else if (this.#items.filter((item) => item.upload || item.file).length >= attachments)
        this.#refuse(file, `A message can have at most ${attachments} files.`);
      else if (file.size > most) {
        this.#refuse(file, `${fileSize(file.size)} is too large. The limit is ${fileSize(most)}.`);
      } else this.#start(file);
    }
    this.#changed();
  }

  /** Takes up the files of a draft. @param {Pick<import('../core/drafts.js').Draft, 'files' | 'lost'>} draft */
  restore({ files, lost }) {
    for (const file of files) this.#put({ file, name: plainName(file.name) });
    for (const name of lost)
      this.#put({ name, reason: 'The page was closed before it was uploaded. Choose it again.', lost: true });
    if (!this.empty) this.#changed();
  }

  /** Forgets all, and stops what is under way. */
  clear() {
    for (const item of [...this.#items]) this.#remove(item);
  }

  #start(file) {
    const upload = new Upload({ base: this.base, channel: this.channel, file, onChange: () => this.#changed() });
    const preview = /^image\/(png|jpeg|gif|webp|avif)$/u.test(file.type) ? URL.createObjectURL(file) : null;
    this.#put({ upload, name: plainName(file.name), preview });
    upload.start();
  }

  #refuse(file, reason) {
    this.#put({ name: plainName(file.name), reason });
  }

  #put(item) {
    this.#items.push({
      key: String(this.#nextKey++),
      upload: null,
      file: null,
      reason: '',
      preview: null,
      lost: false,
      ...item,
    });
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
    const state = stateOf(item);
    view.className = `upload ${state}`;
    const about = view.querySelector('.file-about');
    if (state === 'sending') setText(about, `${Math.round(upload.progress * 100)} %`);
    else if (state === 'done') setText(about, aboutFile(upload?.attachment ?? item.file));
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

function stateOf({ upload, file }) {
  return upload?.state ?? (file ? 'done' : 'refused');
}

function aboutFile({ name, content_type, size }) {
  return [kind(name, content_type), fileSize(size)].filter(Boolean).join(' · ');
}
