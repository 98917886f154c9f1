import { isGenerated } from '../text/channel-key.js';

/** Why a channel can't be shown. @param {string} label @param {string} name @param {import('../core/protocol.js').ChatError} [error] */
export function whyNot(label, name, error) {
  const hidden = error?.code === 'no_such_channel' || error?.code === 'not_allowed';
  if (hidden && isGenerated(name)) return 'This conversation does not exist, or you may not read it.';
  return hidden ? `There is no channel called “${name}”.` : `${label} could not be opened: ${error?.message}`;
}
