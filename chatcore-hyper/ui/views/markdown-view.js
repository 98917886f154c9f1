import { copyText } from '../dom/clipboard.js';
import { h, icon } from '../dom/dom.js';
import { GROUPS } from '../core/people.js';
import { isOnlyEmoji, loadEmoji, wantsEmoji } from '../text/emoji.js';
import { isName, readText } from '../text/mentions.js';

/** How long a copy button says that it has copied. */
const COPIED_MS = 1500;

/**
 * Names that may be mentioned, the viewer's own, whether another was theirs, and the groups among what a message mentions.
 * @typedef {{names: string[], own: string, isOwn?: (name: string) => boolean, mentions?: string[]}} People
 */

/**
 * A message's text: what is written in it as elements, and every word of it as text.
 * @param {string} text
 * @param {People} people
 * @param {?Node} after what stands at its end
 */
export function textView(text, people, after = null) {
  const view = h('div', { class: 'text', dir: 'auto' });
  fill(view, text, people, after);
  if (wantsEmoji(text))
    loadEmoji().then(
      () => fill(view, text, people, after),
      () => {},
    );
  return view;
}

/** @param {HTMLElement} view @param {string} text @param {People} people @param {?Node} after */
function fill(view, text, { names, own, isOwn, mentions = [] }, after) {
  const blocks = readText(text, names);
  /** What a name is to the viewer: their own, somebody's, or no mention. */
  const sort = (name) => {
    if (name in GROUPS) return mentions.includes(GROUPS[name]) ? 'mention own' : '';
    return isName(name, own) || isOwn?.(name) ? 'mention own' : 'mention';
  };
  const alone = blocks.length === 1 && blocks[0].type === 'paragraph' ? blocks[0].children : null;
  view.classList.toggle('jumbo', alone?.length === 1 && typeof alone[0] === 'string' && isOnlyEmoji(alone[0]));
  view.replaceChildren(...(alone ? inlines(alone, sort) : blocks.map((block) => blockView(block, sort))));
  const last = view.lastElementChild;
  if (after) (!alone && last?.localName === 'p' ? last : view).append(after);
}

function blockView(block, sort) {
  switch (block.type) {
    case 'fence':
      return fenceView(block);
    case 'quote':
      return h('blockquote', { dir: 'auto' }, ...block.children.map((child) => blockView(child, sort)));
    case 'list':
      return h(
        block.start === null ? 'ul' : 'ol',
        { dir: 'auto' },
        ...block.items.map((item, at) => h('li', { dir: 'auto', value: block.numbers[at] }, ...itemView(item, sort))),
      );
    default:
      return h('p', { dir: 'auto' }, ...inlines(block.children, sort));
  }
}

/** The first line of an item stands beside its mark. */
function itemView([first, ...rest], sort) {
  if (first?.type !== 'paragraph') return [first, ...rest].filter(Boolean).map((block) => blockView(block, sort));
  return [...inlines(first.children, sort), ...rest.map((block) => blockView(block, sort))];
}

function fenceView({ language, text }) {
  const copy = h(
    'button',
    { type: 'button', class: 'plain copy', 'aria-label': 'Copy the code', title: 'Copy' },
    icon('copy'),
  );
  copy.addEventListener('click', async () => {
    const done = await copyText(text);
    copy.replaceChildren(icon(done ? 'check' : 'warning'));
    copy.setAttribute('aria-label', done ? 'Copied' : 'The browser did not copy it');
    setTimeout(() => {
      copy.replaceChildren(icon('copy'));
      copy.setAttribute('aria-label', 'Copy the code');
    }, COPIED_MS);
  });
  const label = language && h('span', { class: 'language', dir: 'ltr' }, language);
  return h(
    'div',
    { class: 'fence' },
    h('pre', { dir: 'ltr', tabindex: '0' }, h('code', {}, text)),
    label || null,
    copy,
  );
}

/** What has a direction of its sort stands apart, so that the words around it do not turn it. */
function inlines(nodes, sort, linked = false) {
  return nodes.flatMap((node) => {
    if (typeof node === 'string') return node;
    if (node.type === 'code') return h('code', { dir: 'ltr' }, node.text);
    const children = inlines(node.children, sort, linked || node.type === 'link');
    if (node.type === 'mention') return h('bdi', { class: sort(node.name) || null }, ...children);
    if (node.type !== 'link') return h(node.type, {}, ...children);
    // A link within a link is no link.
    if (linked) return children;
    const props = {
      href: node.href,
      dir: node.bare ? 'ltr' : 'auto',
      title: node.href,
      target: '_blank',
      rel: 'noopener noreferrer nofollow',
    };
    return h('a', props, ...children);
  });
}
