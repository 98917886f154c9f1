/**
 * The key of a channel that somebody names, folded as the server folds it: composed, in lower case, with `-` for spaces.
 * Where the server's own folding goes further, its answer has the last word (`ChatCore.key`).
 * @param {string} name
 */
export function channelKey(name) {
  return name.normalize('NFC').trim().replace(/\s+/gu, '-').toLowerCase().normalize('NFC');
}

/** Whether the server has made up the key, so that it is no name for people. @param {string} key */
export function isGenerated(key) {
  return /^(?:pr|dm)\./u.test(key);
}
