/** Who a text mentions: `@Name`, without regard to case; of several names that fit, the longest. */

const WORD = /[\p{L}\p{N}\p{M}_]/u;

/**
 * Splits a text at the mentions of known names.
 * @param {string} text
 * @param {Iterable<string>} names
 * @returns {{text: string, name: ?string}[]} `name` is the known name that the part mentions
 */
export function splitMentions(text, names) {
  const parts = [];
  let from = 0;
  if (text.includes('@')) {
    const known = new Map([...names].filter(Boolean).map((name) => [name.toLowerCase(), name]));
    // Few lengths stand for many names, so that an @ costs a few look-ups however many people there are.
    const lengths = [...new Set([...known.values()].map((name) => name.length))].sort((one, other) => other - one);
    for (let at = text.indexOf('@'); at >= 0; at = text.indexOf('@', Math.max(from, at + 1))) {
      const name = nameAt(text, at, known, lengths);
      if (name === null) continue;
      if (at > from) parts.push({ text: text.slice(from, at), name: null });
      from = at + 1 + name.length;
      parts.push({ text: text.slice(at, from), name });
    }
  }
  if (from < text.length) parts.push({ text: text.slice(from), name: null });
  return parts;
}

/**
 * Whether a text mentions a name.
 * @param {string} text
 * @param {string} name
 * @param {Iterable<string>} [others] further names, the longer of which are not taken for `name`
 */
export function mentionsName(text, name, others = []) {
  return splitMentions(text, [...others, name]).some((part) => part.name?.toLowerCase() === name.toLowerCase());
}

function nameAt(text, at, known, lengths) {
  if (WORD.test(before(text, at))) return null;
  for (const length of lengths) {
    const end = at + 1 + length;
    const name = known.get(text.slice(at + 1, end).toLowerCase());
    if (name?.length === length && !WORD.test(String.fromCodePoint(text.codePointAt(end) ?? 32))) return name;
  }
  return null;
}

/** The character before a place, whole where it is a pair of surrogates. */
function before(text, at) {
  return [...text.slice(Math.max(0, at - 2), at)].at(-1) ?? ' ';
}
