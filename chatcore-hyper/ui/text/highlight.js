/** So much of a text stands before the first hit, where it is too long to be shown whole. */
const BEFORE = 60;

/** The longest text of a result. */
const SHOWN = 300;

/** Accents, the points of Hebrew and Arabic, and characters that show nothing: a search passes over them. */
const PASSED_OVER =
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: each of them is passed over by itself
  /[\p{DI}\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]/gu;

/** Letters whose strokes are no accents. */
const STROKES = { ø: 'o', ł: 'l', đ: 'd', ħ: 'h', ŧ: 't', æ: 'ae', œ: 'oe' };

/**
 * Splits a text at the words that were searched for, whatever their case, accents and width, as the server compares them;
 * a long text begins shortly before the first.
 * @param {string} text
 * @param {string} query
 * @returns {{text: string, hit: boolean}[]}
 */
export function highlight(text, query) {
  const words = foldText(query).folded.split(/\s+/u).filter(Boolean);
  if (words.length === 0) return [{ text, hit: false }];
  const longestFirst = words.sort((one, other) => other.length - one.length);
  const pattern = new RegExp(longestFirst.map((word) => word.replace(/[\\^$.*+?()[\]{}|/]/gu, '\\$&')).join('|'), 'gu');
  const shown = excerpt(text, hitsIn(text, pattern)[0]?.start ?? -1);
  const parts = [];
  let from = 0;
  for (const { start, end } of hitsIn(shown, pattern)) {
    if (start > from) parts.push({ text: shown.slice(from, start), hit: false });
    if (end > from) parts.push({ text: shown.slice(Math.max(from, start), end), hit: true });
    from = Math.max(from, end);
  }
  if (from < shown.length) parts.push({ text: shown.slice(from), hit: false });
  return parts;
}

function hitsIn(text, pattern) {
  const { folded, places } = foldText(text);
  return [...folded.matchAll(pattern)].map(({ 0: hit, index }) => {
    let end = index + hit.length;
    // One letter may fold to several: it is marked as a whole.
    while (places[end] === places[end - 1]) end += 1;
    return { start: places[index], end: places[end] };
  });
}

/** A text as it is compared, and for each of its code units where it comes from. @param {string} text */
function foldText(text) {
  const places = [];
  let folded = '';
  let at = 0;
  for (const letter of text) {
    const plain = letter.normalize('NFKD').replace(PASSED_OVER, '').toUpperCase().toLowerCase().normalize('NFC');
    const same = STROKES[plain] ?? plain;
    for (let unit = 0; unit < same.length; unit += 1) places.push(at);
    folded += same;
    at += letter.length;
  }
  places.push(text.length);
  return { folded, places };
}

function excerpt(text, at) {
  if (text.length <= SHOWN) return text;
  const letters = [...text];
  const before = [...text.slice(0, Math.max(0, at))].length;
  const start = Math.max(0, before - BEFORE);
  const end = start + SHOWN;
  return `${start > 0 ? '…' : ''}${letters.slice(start, end).join('')}${end < letters.length ? '…' : ''}`;
}
