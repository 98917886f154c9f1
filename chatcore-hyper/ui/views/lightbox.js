import { WITH_COOKIE } from './attachment-view.js';
import { h, icon, layerOf } from '../dom/dom.js';
import { fileSize } from '../text/format.js';

/** One image at a time as large as the window allows, and the way to the others of its channel. */
export class Lightbox {
  /** @type {?HTMLDialogElement} */
  #dialog = null;
  #image;
  #name;
  #download;
  #steps;
  /** @type {import('../core/protocol.js').Attachment[]} */
  #images = [];
  #at = 0;

  /** @param {import('../core/protocol.js').Attachment[]} images @param {string} url the one to begin with @param {Element} opener */
  open(images, url, opener) {
    this.#dialog ??= this.#build();
    this.#images = images;
    layerOf(opener).append(this.#dialog);
    this.#show(
      Math.max(
        0,
        images.findIndex((image) => image.url === url),
      ),
    );
    this.#dialog.showModal();
  }

  close() {
    this.#dialog?.close();
  }

  #build() {
    const button = (sign, label, press) =>
      h(
        'button',
        { type: 'button', class: 'plain', 'aria-label': label, title: label, on: { click: press } },
        icon(sign),
      );
    this.#image = h('img', { crossorigin: WITH_COOKIE, decoding: 'async' });
    this.#name = h('bdi', { class: 'file-name' });
    this.#download = h(
      'a',
      { class: 'plain', target: '_blank', rel: 'noopener', 'aria-label': 'Download', title: 'Download' },
      icon('download'),
    );
    this.#steps = [
      button('back', 'Previous image', () => this.#step(-1)),
      button('forward', 'Next image', () => this.#step(1)),
    ];
    const dialog = h(
      'dialog',
      { class: 'lightbox', 'aria-label': 'Image' },
      h(
        'div',
        { class: 'lightbox-head' },
        this.#name,
        ...this.#steps,
        this.#download,
        button('close', 'Close', () => dialog.close()),
      ),
      this.#image,
    );
    dialog.addEventListener('keydown', ({ key }) => {
      if (key === 'ArrowLeft' || key === 'ArrowRight') this.#step(key === 'ArrowLeft' ? -1 : 1);
    });
    dialog.addEventListener('click', ({ target }) => target === dialog && dialog.close());
    dialog.addEventListener('close', () => dialog.remove());
    return dialog;
  }

  #step(by) {
    if (this.#images[this.#at + by]) this.#show(this.#at + by);
  }

  #show(at) {
    const { url, name, size, width, height } = this.#images[at];
    this.#at = at;
    this.#image.width = width;
    this.#image.height = height;
    this.#image.alt = name;
    this.#image.src = url;
    this.#name.textContent = name;
    this.#name.title = `${name}, ${fileSize(size)}`;
    this.#download.href = url;
    this.#download.download = name;
    // A button that is disabled would lose the focus.
    this.#steps[0].setAttribute('aria-disabled', String(at === 0));
    this.#steps[1].setAttribute('aria-disabled', String(at === this.#images.length - 1));
  }
}
