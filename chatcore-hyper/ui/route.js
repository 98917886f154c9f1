/** Where the page is: `#/c/general` is a channel, all else the list. */

/** @returns {?string} the name of the channel */
export function currentChannel() {
  const name = /^#\/c\/(.+)$/u.exec(location.hash)?.[1];
  try {
    return name ? decodeURIComponent(name) : null;
  } catch {
    return null;
  }
}

/** @param {?string} name */
export function channelHash(name) {
  return name === null ? '#/' : `#/c/${encodeURIComponent(name)}`;
}

/** Goes to a channel; the back gesture returns from it. @param {string} name */
export function goTo(name) {
  location.hash = channelHash(name);
}

/** Goes to a place instead of the current one, which the back gesture then skips. @param {?string} name */
export function replaceWith(name) {
  history.replaceState(null, '', channelHash(name));
}
