const ADDRESS = /(?:https?:\/\/|mailto:)[^\s<>"]+/giu;
const TRAILING = /[.,:;!?'*_~)\]}]/u;
const PAIRS = { ')': '(', ']': '[', '}': '{' };

/**
 * Splits a text at the addresses that are safe to follow; all else stays text, whatever it looks like.
 * @param {string} text
 * @returns {{text: string, href: ?string}[]}
 */
export function splitLinks(text) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = trimAddress(match[0]);
    const href = safeAddress(address);
    if (!href) continue;
    if (match.index > from) parts.push({ text: text.slice(from, match.index), href: null });
    parts.push({ text: address, href });
    from = match.index + address.length;
  }
  if (from < text.length) parts.push({ text: text.slice(from), href: null });
  return parts;
}

/** Leaves out what belongs to the sentence around an address: "(see https://example.org/a)." */
function trimAddress(address) {
  let end = address.length;
  const open = { '(': 0, '[': 0, '{': 0 };
  const closed = { '(': 0, '[': 0, '{': 0 };
  for (const sign of address) {
    if (sign in open) open[sign] += 1;
    if (sign in PAIRS) closed[PAIRS[sign]] += 1;
  }
  while (end > 0 && TRAILING.test(address[end - 1])) {
    const pair = PAIRS[address[end - 1]];
    if (pair && closed[pair] <= open[pair]) break;
    if (pair) closed[pair] -= 1;
    end -= 1;
  }
  return address.slice(0, end);
}

/** @returns {?string} */
function safeAddress(address) {
  try {
    const url = new URL(address);
    return ['http:', 'https:', 'mailto:'].includes(url.protocol) && (url.host || url.pathname) ? url.href : null;
  } catch {
    return null;
  }
}
