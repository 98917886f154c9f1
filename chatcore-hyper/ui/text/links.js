import { UNSPACED } from './words.js';

/** Punctuation and arrows end an address, but for those of ASCII and the few that stand within words. */
const ADDRESS = /(?:(?!\]\(|(?![\0-\x7f·・’–\u200c\u200d])[\p{P}\p{Sm}\p{Cf}])[^\s<>"`\p{Cc}])+/uy;

const HOST = /^https?:\/\/[^/?#]*/iu;

/** The last name of a host, or its port, is in one script: what follows in another is a word of the sentence. */
const HOST_END = /^https?:\/\/(?:.*[.:])?[a-z0-9-]+(?=[^\0-\x7f][^.:]*$)/iu;

/** So is what follows a path in writing that sets no spaces. */
const PATH_END = new RegExp(`[a-z0-9](?=[${UNSPACED}\\p{scx=Hang}])`, 'iu');

const TRAILING = /[.,:;!?'*_~)\]}·・’–]/u;
const PAIRS = { ')': '(', ']': '[', '}': '{' };

/**
 * The address that begins at a place, up to where a reader sees its end.
 * @param {string} text @param {number} at
 * @returns {{address: string, length: number}} `length` is how much of the text was looked at
 */
export function addressAt(text, at) {
  ADDRESS.lastIndex = at;
  const [found] = ADDRESS.exec(text) ?? [''];
  return { address: trimAddress(withoutWords(found)), length: found.length };
}

function withoutWords(address) {
  const host = HOST.exec(address)?.[0] ?? '';
  const name = HOST_END.exec(host)?.[0];
  if (name) return name;
  const end = address.slice(host.length).search(PATH_END);
  return end < 0 ? address : address.slice(0, host.length + end + 1);
}

/** Leaves out what belongs to the sentence around an address: "(see https://example.org/a)." @param {string} address */
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

/** The address as a browser follows it, where it is safe to. @param {string} address @returns {?string} */
export function safeAddress(address) {
  try {
    const url = new URL(address);
    return ['http:', 'https:', 'mailto:'].includes(url.protocol) && (url.host || url.pathname) ? url.href : null;
  } catch {
    return null;
  }
}
