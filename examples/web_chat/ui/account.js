/** The page of one's own name and devices. */

import { h } from '/chat/ui/chat.js';
import { choose, linkView } from '/dialogs.js';
import { ago, button, section, showPanel, showTrouble, status } from '/panel.js';
import { request } from '/requests.js';

start();

async function start() {
  try {
    const account = await request('GET', '/account');
    showPanel(
      'Account and devices',
      nameSection(account),
      devicesSection(account),
      linkSection(),
      account.owner ? ownerSection() : endSection(account),
    );
  } catch (error) {
    showTrouble(error);
  }
}

function nameSection({ user }) {
  const { line, say, fail } = status();
  const field = h('input', {
    name: 'name',
    value: user.name,
    maxlength: '32',
    dir: 'auto',
    spellcheck: 'false',
    autocomplete: 'nickname',
  });
  const save = h('button', { type: 'submit', class: 'primary' }, 'Save');
  const submit = async (event) => {
    event.preventDefault();
    save.disabled = true;
    try {
      const { user: renamed } = await request('PATCH', '/account', { name: field.value.trim() });
      field.value = renamed.name;
      say('Saved. Others see the new name, also at your earlier messages.');
    } catch (error) {
      fail(error);
      field.focus();
    } finally {
      save.disabled = false;
    }
  };
  return section(
    'Your name',
    h(
      'form',
      { class: 'line', novalidate: true, on: { submit, input: () => say('') } },
      h('label', {}, h('span', {}, 'Name'), field),
      save,
    ),
    line,
  );
}

function devicesSection({ devices }) {
  const { line, say, fail } = status();
  const list = h('ul', { class: 'rows' });
  const others = button(
    'Sign out all other devices',
    'quiet',
    async () => {
      await request('DELETE', '/account/devices');
      for (const row of [...list.children]) if (!row.classList.contains('current')) row.remove();
      others.hidden = true;
      say('All other devices are signed out.');
    },
    fail,
  );
  const gone = (row) => {
    row.remove();
    others.hidden = list.children.length < 2;
    say('The device is signed out.');
    list.tabIndex = -1;
    list.focus();
  };
  // One's own device first.
  const sorted = devices.toSorted((one, other) => Number(other.current) - Number(one.current));
  list.append(...sorted.map((device) => deviceRow(device, gone, fail)));
  others.hidden = devices.length < 2;
  return section('Your devices', list, others, line);
}

function deviceRow({ id, name, used, current }, gone, fail) {
  const words = h(
    'div',
    { class: 'words' },
    h('b', {}, name),
    h('span', { class: 'hint' }, current ? 'This device' : `Last used ${ago(used)}`),
  );
  const row = h('li', { class: current ? 'current' : '' }, words);
  if (current) return row;
  const out = button(
    'Sign out',
    'quiet',
    async () => {
      await request('DELETE', `/account/devices/${id}`);
      gone(row);
    },
    fail,
  );
  out.setAttribute('aria-label', `Sign out ${name}, last used ${ago(used)}`);
  row.append(out);
  return row;
}

function linkSection() {
  const { line, fail } = status();
  const place = h('div', { role: 'region', 'aria-label': 'Link for another device', 'aria-live': 'polite' });
  const make = button(
    'Make a link',
    'primary',
    async () => {
      place.replaceChildren(linkView(await request('POST', '/account/link')));
      make.textContent = 'Make a new link';
    },
    fail,
  );
  return section(
    'Sign in on another device',
    h(
      'p',
      {},
      'Open the link there, or scan it with the camera. It works once, for ten minutes, and whoever has it becomes you: show it to nobody else.',
    ),
    place,
    make,
    line,
  );
}

function ownerSection() {
  return section(
    'This chat is yours',
    h('p', {}, 'You see everybody who has a name here, invite people, and help those who are locked out.'),
    h('p', {}, h('a', { href: '/admin.html' }, 'People and channels')),
  );
}

function endSection({ user }) {
  const { line, fail } = status();
  const give = button(
    'Give up this name',
    'danger',
    async () => {
      const sure = await choose(
        `Give up ${user.name}?`,
        [
          h(
            'p',
            {},
            'All your devices are signed out, and somebody else can take the name. Your messages stay. You can’t come back as the same person.',
          ),
        ],
        [
          { text: 'Keep it', value: false, style: 'quiet' },
          { text: 'Give up the name', value: true, style: 'danger' },
        ],
      );
      if (!sure) return;
      await request('DELETE', '/account');
      location.replace('/');
    },
    fail,
  );
  const erase = button(
    'Delete my account',
    'danger',
    async () => {
      const all =
        'All your devices are signed out. Your name and reactions are taken out of the chat, of exports and of later backups. Your messages stay under “Deleted user”, or are deleted with their files. This can’t be undone.';
      const messages = await choose(
        'Delete your account?',
        [h('p', {}, all)],
        [
          { text: 'Keep it', value: null, style: 'quiet' },
          { text: 'Delete it, keep messages', value: 'keep', style: 'danger' },
          { text: 'Delete it with messages', value: 'delete', style: 'danger' },
        ],
      );
      if (!messages) return;
      await request('DELETE', `/account?messages=${messages}`);
      location.replace('/');
    },
    fail,
  );
  return section(
    'Leave for good',
    h('p', {}, 'To sign out of this device only, use the menu of the chat.'),
    give,
    erase,
    line,
  );
}
