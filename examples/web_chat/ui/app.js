import { askIdentity, ChatCore, h, OutboxDb, pageStorage } from '/chat/ui/chat.js';
import { askSession, codeOf, request } from '/requests.js';
import { showLink, showSignIn } from '/sign-in.js';

/** Where the chat service is mounted. */
const BASE = '/chat';

/** How often a page that stays open tells the server that its device is in use, in milliseconds. */
const USE_MS = 6 * 3_600_000;

const REASONS = {
  4100: 'You were signed out.',
  4101: 'You can no longer use this chat.',
};

const storage = pageStorage();

start();
addEventListener('hashchange', () => location.hash.startsWith('#link=') && location.reload());
setInterval(() => askSession().catch(() => {}), USE_MS);

async function start() {
  try {
    const link = takeLink();
    const user = await whoAmI();
    if (link) await showLink({ link, user, joined: showChat });
    else if (user) showChat(user);
    else showSignIn({ joined: showChat });
  } catch (error) {
    showUnreachable(error);
  }
}

/** The code of a link in the address, which is removed there at once: it is a secret. @returns {?string} */
function takeLink() {
  if (!location.hash.startsWith('#link=')) return null;
  const link = codeOf(location.hash);
  history.replaceState(null, '', '/');
  return link;
}

/** @returns {Promise<?{id: string, name: string}>} null when nobody is signed in */
async function whoAmI() {
  // Set and removed along with the cookie that only the server can read.
  return document.cookie.split('; ').includes('chat_signed_in=1') ? askSession() : null;
}

function showChat(user) {
  const url = new URL(`${BASE}/ws`, location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  const core = new ChatCore({
    url: url.href,
    user,
    openOutbox: (id) => new OutboxDb(id),
    storage,
    checkIdentity: () => askIdentity(BASE),
  });
  const shell = document.createElement('chat-shell');
  const leave = (notice) => {
    core.stop();
    history.replaceState(null, '', '/');
    showSignIn({ notice, joined: showChat });
  };
  let leaving = false;
  // Who signs out here knows why the server ends the session.
  core.on('closed', ({ code }) => leaving || leave(REASONS[code] ?? `The server ended this session (${code}).`));
  // Another tab may have signed in as somebody else since.
  core.on('replaced', () => location.reload());
  shell.addEventListener('sign-out', async () => {
    leaving = true;
    try {
      const { askLeaving } = await import('/leaving.js');
      const path = await askLeaving();
      if (!path) return;
      await request('DELETE', path);
      shell.forget();
      leave('');
    } catch {
      shell.say('Signing out failed: the server does not answer.');
    } finally {
      leaving = false;
    }
  });
  document.body.replaceChildren(shell);
  const links = [{ text: 'Account and devices', href: '/account.html' }];
  shell.wire({ core, base: BASE, storage, links });
  core.start();
}

/** @param {Error} error */
function showUnreachable({ message }) {
  const retry = { type: 'button', class: 'primary', on: { click: () => location.reload() } };
  document.body.replaceChildren(
    h(
      'main',
      { class: 'sign-in' },
      h(
        'div',
        { class: 'unreachable' },
        h('h1', {}, 'The chat can’t be opened'),
        h('p', {}, message),
        h('button', retry, 'Try again'),
      ),
    ),
  );
}
