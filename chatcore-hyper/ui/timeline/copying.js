import { h } from '../dom/dom.js';

/** What stands in a message and is not what was written. */
const AROUND = 'header, .quote, .reactions, .edited, .failure, .file-about, .visually-hidden, audio, video';

/**
 * A selection over several messages as text: of each who wrote it, when, and what is selected of it, in order.
 * @param {Element} scroller
 * @param {(seq: number) => import('../core/protocol.js').Message | undefined} messageOf
 * @returns {?string} null within one message, which the browser copies well
 */
export function copiedMessages(scroller, messageOf) {
  const root = /** @type {any} */ (scroller.getRootNode());
  const selection = root.getSelection ? root.getSelection() : getSelection();
  const range = selection.rangeCount > 0 ? selection.getRangeAt(0) : null;
  const articles = [...scroller.querySelectorAll('article')].filter((article) =>
    range?.intersectsNode(article.children[1]),
  );
  if (articles.length < 2) return null;
  return articles
    .map((article) => `${article.getAttribute('aria-label')}\n${selectedOf(article, range, messageOf)}`)
    .join('\n\n');
}

function selectedOf(article, range, messageOf) {
  const content = article.children[1];
  const part = range.cloneRange();
  const [begins, ends] = [content.contains(range.startContainer), content.contains(range.endContainer)];
  const message = begins || ends ? undefined : messageOf(Number(article.dataset.seq));
  if (message?.text) return [message.text, ...message.attachments.map(({ name }) => name)].join('\n');
  if (!begins) part.setStart(content, 0);
  if (!ends) part.setEnd(content, content.childNodes.length);
  const box = h('div', { class: 'visually-hidden text' }, part.cloneContents());
  for (const one of box.querySelectorAll(AROUND)) one.remove();
  for (const image of box.querySelectorAll('img')) image.replaceWith(image.alt);
  // Only what is drawn has lines.
  article.append(box);
  // biome-ignore lint/performance/useDomNodeTextContent: `textContent` has no lines
  const text = box.innerText;
  box.remove();
  return text.trim();
}
