import { h, icon } from '../dom/dom.js';
import { firstLine } from '../text/markdown.js';

/**
 * What the composer writes now: a new message, a reply to one, or one's own anew. Its element says which, and leads back.
 * @typedef {{kind: 'new', message?: undefined} | {kind: 'reply' | 'edit', message: import('../core/protocol.js').Message}} Writing
 */
export class WritingLine {
  element = h('div', { class: 'writing', hidden: true });

  /** @param {{onCancel: () => void, onRemove: () => void}} options */
  constructor({ onCancel, onRemove }) {
    this.onCancel = onCancel;
    this.onRemove = onRemove;
  }

  /** @param {Writing} writing */
  show(writing) {
    this.element.hidden = writing.kind === 'new';
    if (writing.kind === 'new') return this.element.replaceChildren();
    const { message } = writing;
    this.#fill(
      icon(writing.kind),
      writing.kind === 'edit'
        ? h('span', {}, 'Editing your message')
        : h(
            'span',
            { class: 'writing-about' },
            'Replying to ',
            h('bdi', { class: 'author' }, message.author.name),
            ' ',
            h('bdi', { class: 'quoted' }, firstLine(message)),
          ),
    );
  }

  /** Asks what an empty text means; the answer has the focus. */
  askRemove() {
    const remove = h('button', { type: 'button', class: 'link', on: { click: this.onRemove } }, 'Delete the message');
    this.#fill(icon('warning'), h('span', { role: 'alert' }, 'There is nothing left to save.'), remove);
    remove.focus();
  }

  #fill(...parts) {
    const label = 'Cancel';
    this.element.replaceChildren(
      ...parts,
      h(
        'button',
        { type: 'button', class: 'plain', 'aria-label': label, title: `${label} (Esc)`, on: { click: this.onCancel } },
        icon('close'),
      ),
    );
  }
}
