/** Who a text mentions: `@Name`, without regard to case; of several names that fit, the longest. */

import { withEmoji } from './emoji.js';
import { mapWords, parseMarkdown } from './markdown.js';
import { WORD } from './words.js';

/** What must not stand before an `@`: a word, another `@`, or a sign that makes it a part of an address or a formula. */
const NOT_BEFORE = new RegExp(`(?:${WORD}|@|\\S[/=&#%+~$\\\\-])$`, 'u');

/** What must not stand behind a name: the rest of a longer one, of a host or of a package. */
const NOT_BEHIND = new RegExp(`^(?:${WORD}|[@-][\\p{L}\\p{N}]|[./][\\p{Ll}\\p{N}])`, 'u');

/**
 * Reads a text once for all that show it, count by it or tell of it: emoji stand for their codes, and a mention is a node.
 * Code and addresses hold neither.
 * @param {string} text
 * @param {string[]} names
 * @returns {import('./markdown.js').Block[]}
 */
export function readText(text, names) {
  return mapWords(parseMarkdown(text), (words) =>
    splitMentions(words, names).map((part) =>
      part.name ? { type: 'mention', name: part.name, children: [part.text] } : withEmoji(part.text),
    ),
  );
}

/**
 * Whether a text mentions a name.
 * @param {string} text
 * @param {string} name
 * @param {string[]} [others] further names, the longer of which are not taken for `name`
 */
export function mentionsName(text, name, others = []) {
  const mentioned = mentionedNames(text, others.includes(name) ? others : [...others, name]);
  return [...mentioned].some((one) => isName(one, name));
}

/** Which of these names a text mentions. @param {string} text @param {string[]} names @returns {Set<string>} */
export function mentionedNames(text, names) {
  const found = new Set();
  const look = (nodes) => {
    for (const node of nodes) {
      if (node.type === 'mention') found.add(node.name);
      else look(node.children ?? node.items?.flat() ?? []);
    }
  };
  if (text.includes('@')) look(readText(text, names));
  return found;
}

/** Whether two names are one, whatever their case. @param {string} one @param {string} other */
export function isName(one, other) {
  return folded(one) === folded(other);
}

/**
 * Splits words at the mentions of known names.
 * @param {string} text
 * @param {string[]} names
 * @returns {{text: string, name: ?string}[]} `name` is the known name that the part mentions
 */
export function splitMentions(text, names) {
  const parts = [];
  let from = 0;
  if (text.includes('@')) {
    const { known, lengths } = indexOf(names);
    for (let at = text.indexOf('@'); at >= 0; at = text.indexOf('@', Math.max(from, at + 1))) {
      // One mention may follow another with a sign between them.
      const before = text.slice(Math.max(0, at - 3), at);
      const end = NOT_BEFORE.test(before) && (from === 0 || at !== from + 1) ? at : endOfName(text, at, known, lengths);
      if (end === at) continue;
      if (at > from) parts.push({ text: text.slice(from, at), name: null });
      parts.push({ text: text.slice(at, end), name: known.get(folded(text.slice(at + 1, end))) ?? null });
      from = end;
    }
  }
  if (from < text.length) parts.push({ text: text.slice(from), name: null });
  return parts;
}

/**
 * The index of the list that was used last; the same list serves many texts.
 * @type {{of: ?string[], known: Map<string, string>, lengths: number[]}}
 */
let latest = { of: null, known: new Map(), lengths: [] };

/** Few lengths stand for many names, so that an @ costs a few look-ups however many people there are. @param {string[]} names */
function indexOf(names) {
  if (latest.of !== names) {
    const known = new Map(names.filter(Boolean).map((name) => [folded(name), name]));
    latest = {
      of: names,
      known,
      lengths: [...new Set([...known.values()].flatMap(lengthsOf))].sort((one, other) => other - one),
    };
  }
  return latest;
}

/** Where a known name ends that begins behind `at`, or `at`. */
function endOfName(text, at, known, lengths) {
  const length = lengths.find((one) => {
    const end = at + 1 + one;
    return (
      end <= text.length && known.has(folded(text.slice(at + 1, end))) && !NOT_BEHIND.test(text.slice(end, end + 3))
    );
  });
  return length === undefined ? at : at + 1 + length;
}

/** In one spelling, as ß and SS are one, and é written as one sign or two. */
function folded(name) {
  return name.normalize('NFC').toUpperCase().toLowerCase();
}

/** How long a name may be in a text that spells it otherwise. */
function lengthsOf(name) {
  return [name, name.normalize('NFD'), name.toUpperCase()].map(({ length }) => length);
}
