/** So much of a text stands before the first hit, where it is too long to be shown whole. */
const BEFORE = 60;

/** The longest text of a result. */
const SHOWN = 300;

/**
 * Splits a text at the words that were searched for, whatever their case; a long text begins shortly before the first.
 * @param {string} text
 * @param {string} query
 * @returns {{text: string, hit: boolean}[]}
 */
export function highlight(text, query) {
  const words = query.split(/\s+/u).filter(Boolean);
  if (words.length === 0) return [{ text, hit: false }];
  const longestFirst = words.sort((one, other) => other.length - one.length);
  const pattern = new RegExp(longestFirst.map((word) => word.replace(/[\\^$.*+?()[\]{}|/]/gu, '\\$&')).join('|'), 'giu');
  const shown = excerpt(text, text.search(pattern));
  const parts = [];
  let from = 0;
  for (const { 0: hit, index } of shown.matchAll(pattern)) {
    if (index > from) parts.push({ text: shown.slice(from, index), hit: false });
    parts.push({ text: hit, hit: true });
    from = index + hit.length;
  }
  if (from < shown.length) parts.push({ text: shown.slice(from), hit: false });
  return parts;
}

function excerpt(text, at) {
  if (text.length <= SHOWN) return text;
  const letters = [...text];
  const before = [...text.slice(0, Math.max(0, at))].length;
  const start = Math.max(0, before - BEFORE);
  const end = start + SHOWN;
  return `${start > 0 ? '…' : ''}${letters.slice(start, end).join('')}${end < letters.length ? '…' : ''}`;
}
