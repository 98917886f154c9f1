import { askIdentity, ChatCore, h, OutboxDb, pageStorage, setText, waitInWords } from '/chat/ui/chat.js';

/** Where the chat service is mounted. */
const BASE = '/chat';

const REFUSALS = {
  name_taken: 'This name is taken. Choose another.',
  bad_name: 'Use 1 to 32 characters, none of them invisible. Names such as “everyone” are reserved.',
};

const REASONS = {
  4100: 'You were signed out.',
  4101: 'You can no longer use this chat.',
};

const storage = pageStorage();

start();

async function start() {
  try {
    const user = await whoAmI();
    if (user) showChat(user);
    else showSignIn('');
  } catch (error) {
    showUnreachable(error);
  }
}

/** @returns {Promise<?{id: string, name: string}>} null when nobody is signed in */
async function whoAmI() {
  // Set and removed along with the cookie that only the server can read.
  return document.cookie.split('; ').includes('chat_signed_in=1') ? askSession() : null;
}

async function askSession() {
  const answer = await fetch('/session', { cache: 'no-store' }).catch(() => {
    throw new Error('The server does not answer. Check your connection and try again.');
  });
  if (answer.status === 401) return null;
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.message ?? `The server answered ${answer.status}.`);
  return userOf(body);
}

function userOf(body) {
  return body.user ?? body;
}

/** @param {string} notice why the page is shown, where that needs a word */
function showSignIn(notice) {
  const error = h('p', { class: 'field-error', id: 'name-error', role: 'alert' });
  const field = h('input', {
    name: 'name',
    maxlength: '32',
    autocomplete: 'nickname',
    spellcheck: 'false',
    dir: 'auto',
    required: true,
    'aria-describedby': 'name-error',
  });
  const button = h('button', { type: 'submit', class: 'primary' }, 'Join');
  const fail = (reason) => {
    setText(error, reason);
    field.setAttribute('aria-invalid', String(reason !== ''));
  };
  const submit = async (event) => {
    event.preventDefault();
    if (field.value.trim() === '') return fail('Choose a name.');
    button.disabled = true;
    try {
      const answer = await signIn(field.value.trim());
      if (answer.user && (await isKept(answer))) return showChat(answer.user);
      fail(answer.refusal ?? (await giveBack(answer)));
    } catch {
      fail('The server does not answer. Try again in a moment.');
    } finally {
      button.disabled = false;
    }
    field.focus();
    field.select();
  };
  const form = h(
    'form',
    { novalidate: true, on: { submit, input: () => fail('') } },
    h('img', { src: '/icon.svg', alt: '', width: '56', height: '56' }),
    h('h1', {}, 'Join the chat'),
    h('p', { class: 'notice', role: 'status', hidden: notice === '' }, notice),
    h('label', {}, h('span', {}, 'Your name'), field),
    error,
    button,
    h('p', { class: 'hint' }, 'Others see this name next to your messages.'),
  );
  document.body.replaceChildren(h('main', { class: 'sign-in' }, form));
  document.title = 'Join · Chat';
  field.focus();
}

/** Whether the browser keeps the cookie, which the server alone can tell. Someone who was signed in before had it already. */
async function isKept({ user, receipt }) {
  return !receipt || (await askSession())?.id === user.id;
}

/** Frees the name that was taken without a way to be known by it. @returns {Promise<string>} what to do about it */
async function giveBack({ user, receipt, secure }) {
  const freed = (await fetch(`/session?receipt=${receipt}`, { method: 'DELETE' })).ok;
  const why =
    secure && location.protocol === 'http:'
      ? 'The server sends its cookie over HTTPS only. Open this page with https:// and join there.'
      : 'Your browser does not store this site’s cookie, so you can’t stay signed in. Allow cookies for this site, then join again.';
  return freed ? why : `${why} The name ${user.name} stays taken.`;
}

/** @returns {Promise<{user?: {id: string, name: string}, receipt?: string, secure?: boolean, refusal?: string}>} */
async function signIn(name) {
  const answer = await fetch('/session', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ name }),
  });
  if (answer.status === 429)
    return {
      refusal: `Many people have joined from your network just now. Try again in ${waitInWords(1000 * Number(answer.headers.get('Retry-After')))}.`,
    };
  const body = await answer.json().catch(() => ({}));
  return answer.ok
    ? { ...body, user: userOf(body) }
    : { refusal: REFUSALS[body.code] ?? body.message ?? `The server answered ${answer.status}.` };
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
    showSignIn(notice);
  };
  let leaving = false;
  // Who signs out here knows why the server ends the session.
  core.on('closed', ({ code }) => leaving || leave(REASONS[code] ?? `The server ended this session (${code}).`));
  // Another tab may have signed in as somebody else since.
  core.on('replaced', () => location.reload());
  shell.addEventListener('sign-out', async () => {
    leaving = true;
    const done = await fetch('/session', { method: 'DELETE' }).catch(() => null);
    leaving = false;
    if (!done?.ok) return shell.say('Signing out failed: the server does not answer.');
    shell.forget();
    leave('');
  });
  document.body.replaceChildren(shell);
  shell.wire({ core, base: BASE, storage });
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
