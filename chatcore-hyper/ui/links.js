const TRAILING = /[.,:;!?'*_~)\]}]/u;
const PAIRS = { ')': '(', ']': '[', '}': '{' };

/** Leaves out what belongs to the sentence around an address: "(see https://example.org/a)." @param {string} address */
export function trimAddress(address) {
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
