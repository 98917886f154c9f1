import { highlight } from './highlight.js';
import { plainText } from './markdown.js';

/**
 * What a found message says in one line, without its signs, split at the words that were searched for. Where these are
 * only in what such a line leaves out, as the address of a link, it is the text as it was written.
 * @param {string} text
 * @param {string} query
 */
export function foundLine(text, query) {
  const parts = highlight(plainText(text).replace(/\s+/gu, ' '), query);
  return parts.some(({ hit }) => hit) ? parts : highlight(text, query);
}
