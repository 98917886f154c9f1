/** The ways in: a new name, or a link from another device. */

import { h, setText } from '/chat/ui/chat.js';
import { askSession, codeOf, request } from '/requests.js';

/**
 * Shows the page with a new name.
 * @param {{notice?: string, invitation?: ?string, joined: (user: {id: string, name: string}) => void}} options
 *   `notice`: why the page is shown, where that needs a word; `joined`: what to do with who has signed in
 */
export function showSignIn({ notice = '', invitation = null, joined }) {
  const form = entry({
    title: 'Join the chat',
    notice,
    label: 'Your name',
    attributes: { name: 'name', maxlength: '32', autocomplete: 'nickname', dir: 'auto' },
    empty: 'Choose a name.',
    action: 'Join',
    hint: 'Others see this name next to your messages.',
    send: (name) => ({ name, ...(invitation && { invitation }) }),
    joined,
    other: ['Use a link or code', () => showLinkField({ notice: '', joined })],
  });
  show(form, 'Join · Chat');
}

/** Shows the page for a link or a code from another device. @param {{notice: string, joined: (user: any) => void}} options */
export function showLinkField({ notice, joined }) {
  const form = entry({
    title: 'Sign in here',
    notice,
    label: 'Link or code',
    attributes: { name: 'link', maxlength: '300', autocomplete: 'one-time-code', autocapitalize: 'none' },
    empty: 'Paste the link, or type the code.',
    action: 'Continue',
    hint: 'On a device that is signed in, open the menu at your name, then “Account and devices”, and make a link there.',
    send: (text) => ({ link: codeOf(text) }),
    joined,
    other: ['New here? Choose a name', () => showSignIn({ joined })],
  });
  show(form, 'Sign in · Chat');
}

/**
 * Shows what a link leads to, so that nobody is signed in as somebody by merely following a link.
 * @param {{link: string, user: ?{id: string, name: string}, joined: (user: any) => void}} options `user`: who is signed in
 */
export async function showLink({ link, user, joined }) {
  let found;
  try {
    found = await request('POST', '/link', { link });
  } catch (error) {
    return user ? joined(user) : showSignIn({ notice: error.message, joined });
  }
  if (found.kind === 'invitation') return user ? joined(user) : showSignIn({ invitation: link, joined });
  if (found.user.id === user?.id) return joined(user);
  const error = h('p', { class: 'field-error', role: 'alert' });
  const button = h('button', { type: 'submit', class: 'primary' }, 'Continue as ', h('bdi', {}, found.user.name));
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      joined(await signIn({ link }));
    } catch ({ message }) {
      setText(error, message);
      button.disabled = false;
    }
  };
  const stay = h('button', {
    type: 'button',
    class: 'quiet',
    on: { click: () => (user ? joined(user) : showSignIn({ joined })) },
  });
  stay.textContent = user ? `Stay ${user.name}` : 'Cancel';
  const form = h(
    'form',
    { on: { submit } },
    sign(),
    h('h1', {}, 'Sign in on this device'),
    h('p', {}, 'This link signs you in as ', h('bdi', { class: 'who' }, found.user.name), '. It works once.'),
    user &&
      h('p', { class: 'notice' }, 'You are signed in as ', h('bdi', {}, user.name), ' here. That ends on this device.'),
    error,
    button,
    stay,
    h('p', { class: 'hint' }, 'Go on only if you made this link, or if the owner of this chat made it for you.'),
  );
  show(form, 'Sign in · Chat');
  button.focus();
}

/** A form with one field. */
function entry({ title, notice, label, attributes, empty, action, hint, send, joined, other: [otherText, other] }) {
  const error = h('p', { class: 'field-error', id: 'entry-error', role: 'alert' });
  const field = h('input', { spellcheck: 'false', required: true, 'aria-describedby': 'entry-error', ...attributes });
  const button = h('button', { type: 'submit', class: 'primary' }, action);
  const fail = (reason) => {
    setText(error, reason);
    field.setAttribute('aria-invalid', String(reason !== ''));
  };
  const submit = async (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (text === '') return fail(empty);
    button.disabled = true;
    try {
      return joined(await signIn(send(text)));
    } catch ({ message }) {
      fail(message);
    } finally {
      button.disabled = false;
    }
    field.focus();
    field.select();
  };
  return h(
    'form',
    { novalidate: true, on: { submit, input: () => fail('') } },
    sign(),
    h('h1', {}, title),
    h('p', { class: 'notice', role: 'status', hidden: notice === '' }, notice),
    h('label', {}, h('span', {}, label), field),
    error,
    button,
    h('p', { class: 'hint' }, hint),
    h('button', { type: 'button', class: 'link other', on: { click: other } }, otherText),
  );
}

function sign() {
  return h('img', { src: '/icon.svg', alt: '', width: '56', height: '56' });
}

function show(form, title) {
  document.body.replaceChildren(h('main', { class: 'sign-in' }, form));
  document.title = title;
  form.querySelector('input')?.focus();
}

/** Signs in, and makes sure that the browser keeps the cookie, which the server alone can tell. */
async function signIn(body) {
  const { user, receipt, secure } = await request('POST', '/session', body);
  // Someone who was signed in before had the cookie already.
  if (!receipt || (await askSession())?.id === user.id) return user;
  throw new Error(await giveBack(user, receipt, secure));
}

/** Ends a sign-in without a way to be known by it. @returns {Promise<string>} what to do about it */
async function giveBack(user, receipt, secure) {
  const freed = await request('DELETE', `/session?receipt=${receipt}`).then(
    () => true,
    () => false,
  );
  const why =
    secure && location.protocol === 'http:'
      ? 'The server sends its cookie over HTTPS only. Open this page with https:// and join there.'
      : 'Your browser does not store this site’s cookie, so you can’t stay signed in. Allow cookies for this site, then join again.';
  return freed ? why : `${why} The name ${user.name} stays taken.`;
}
