/** What to ask before signing out of one's only device. */

import { h } from '/chat/ui/chat.js';
import { choose } from '/dialogs.js';
import { request } from '/requests.js';

/**
 * Asks how to sign out where that needs a word.
 * @returns {Promise<?string>} what to delete: the session, or the account with its name; null to stay
 */
export async function askLeaving() {
  const { user, owner, devices } = await request('GET', '/account');
  if (devices.length > 1) return '/session';
  const back = owner
    ? 'To come back, start the service with --owner-link: it prints a link that signs you in.'
    : 'To come back, you need a link from the owner of this chat. Or link another device first, under “Account and devices”.';
  return choose(
    'Sign out of your only device?',
    [h('p', {}, 'The name ', h('bdi', { class: 'who' }, user.name), ` stays yours. ${back}`)],
    [
      { text: 'Cancel', value: null, style: 'quiet' },
      ...(owner ? [] : [{ text: 'Give up the name', value: '/account', style: 'danger' }]),
      { text: 'Sign out', value: '/session', style: 'primary' },
    ],
  );
}
