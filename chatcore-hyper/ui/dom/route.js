/** Where the page is: `#/c/general` is a channel, `#/c/general/1234` a message of it, all else the list. */

/** @returns {{name: ?string, seq: ?number}} the channel, and the message where the address names one */
export function currentPlace() {
  const [, name, seq] = /^#\/c\/([^/]+)(?:\/(\d{1,15}))?\/?$/u.exec(location.hash) ?? [];
  try {
    return { name: name ? decodeURIComponent(name) : null, seq: Number(seq) || null };
  } catch {
    return { name: null, seq: null };
  }
}

/** @param {?string} name @param {?number} [seq] */
export function channelHash(name, seq) {
  return name === null ? '#/' : `#/c/${encodeURIComponent(name)}${seq ? `/${seq}` : ''}`;
}

/** Goes to a channel or to a message in it; the back gesture returns from it. @param {string} name @param {?number} [seq] */
export function goTo(name, seq) {
  location.hash = channelHash(name, seq);
}

/** Goes to a place instead of the current one, which the back gesture then skips. @param {?string} name @param {?number} [seq] */
export function replaceWith(name, seq) {
  history.replaceState(null, '', channelHash(name, seq));
}
