import { copyText } from './clipboard.js';
import { h, icon } from './dom.js';
import { isOnlyEmoji, loadEmoji, wantsEmoji, withEmoji } from './emoji.js';
import { parseMarkdown } from './markdown.js';
import { splitMentions } from './mentions.js';

/** How long a copy button says that it has copied. */
const COPIED_MS = 1500;

/** @typedef {{names: Iterable<string>, own: string}} People names that may be mentioned, and the viewer's own */

/**
 * A message's text: what is written in it as elements, and every word of it as text.
 * @param {string} text
 * @param {People} people
 * @param {?Node} after what stands at its end
 */
export function textView(text, people, after = null) {
  const view = h('div', { class: 'text', dir: 'auto' });
  fill(view, text, people, after);
  if (wantsEmoji(text)) loadEmoji().then(() => fill(view, text, people, after), () => {});
  return view;
}

function fill(view, text, people, after) {
  const blocks = parseMarkdown(text);
  const alone = blocks.length === 1 && blocks[0].type === 'paragraph' ? blocks[0].children : null;
  view.classList.toggle('jumbo', alone?.length === 1 && typeof alone[0] === 'string' && isOnlyEmoji(withEmoji(alone[0])));
  view.replaceChildren(...(alone ? inlines(alone, people) : blocks.map((block) => blockView(block, people))));
  const last = view.lastElementChild;
  if (after) (!alone && last?.localName === 'p' ? last : view).append(after);
}

function blockView(block, people) {
  switch (block.type) {
    case 'fence':
      return fenceView(block.text);
    case 'quote':
      return h('blockquote', { dir: 'auto' }, ...block.children.map((child) => blockView(child, people)));
    case 'list':
      return h(
        block.start === null ? 'ul' : 'ol',
        { dir: 'auto', start: block.start },
        ...block.items.map((item) => h('li', { dir: 'auto' }, ...itemView(item, people))),
      );
    default:
      return h('p', { dir: 'auto' }, ...inlines(block.children, people));
  }
}

/** The first line of an item stands beside its mark. */
function itemView([first, ...rest], people) {
  if (first?.type !== 'paragraph') return [first, ...rest].filter(Boolean).map((block) => blockView(block, people));
  return [...inlines(first.children, people), ...rest.map((block) => blockView(block, people))];
}

function fenceView(text) {
  const copy = h('button', { type: 'button', class: 'plain copy', 'aria-label': 'Copy the code', title: 'Copy' }, icon('copy'));
  copy.addEventListener('click', async () => {
    const done = await copyText(text);
    copy.replaceChildren(icon(done ? 'check' : 'warning'));
    copy.setAttribute('aria-label', done ? 'Copied' : 'The browser did not copy it');
    setTimeout(() => {
      copy.replaceChildren(icon('copy'));
      copy.setAttribute('aria-label', 'Copy the code');
    }, COPIED_MS);
  });
  return h('div', { class: 'fence' }, h('pre', { dir: 'ltr', tabindex: '0' }, h('code', {}, text)), copy);
}

function inlines(nodes, people, linked = false) {
  return nodes.flatMap((node) => {
    if (typeof node === 'string') return words(node, people);
    if (node.type === 'code') return h('code', {}, node.text);
    const children = inlines(node.children, people, linked || node.type === 'link');
    if (node.type !== 'link') return h(node.type, {}, ...children);
    // A link within a link is no link.
    return linked ? children : h('a', { href: node.href, title: node.href, target: '_blank', rel: 'noopener noreferrer nofollow' }, ...children);
  });
}

function words(text, { names, own }) {
  return splitMentions(text, names).map((part) =>
    part.name ? h('span', { class: part.name === own ? 'mention own' : 'mention' }, part.text) : withEmoji(part.text),
  );
}
