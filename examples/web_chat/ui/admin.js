/** The owner's page: invitations, people and channels. */

import { h } from '/chat/ui/chat.js';
import { askText, choose, showMade } from '/dialogs.js';
import { ago, button, section, showPanel, showTrouble, status } from '/panel.js';
import { request } from '/requests.js';

/** How long the page waits for more letters of a name, in milliseconds. */
const TYPING_MS = 250;

start();

async function start() {
  try {
    const [invitations, people, channels] = await Promise.all(
      ['invitations', 'people', 'channels'].map((part) => request('GET', `/admin/${part}`)),
    );
    const sections = [invitationsSection(invitations), peopleSection(people), channelsSection(channels)];
    showPanel('People and channels', ...sections);
  } catch (error) {
    showTrouble(error);
  }
}

function invitationsSection({ invitations, join }) {
  const { line, say, fail } = status();
  if (join === 'open')
    return section(
      'Invitations',
      h(
        'p',
        {},
        'Everybody who reaches this chat may choose a name. To require an invitation, start the service with --join invite.',
      ),
    );
  const list = h('ul', { class: 'rows' });
  const show = (invitation) => list.prepend(invitationRow(invitation, say, fail));
  for (const invitation of invitations.toReversed()) show(invitation);
  const uses = h('input', { type: 'number', name: 'uses', value: '1', min: '1', max: '1000', required: true });
  const days = h('input', { type: 'number', name: 'days', value: '7', min: '1', max: '90', required: true });
  const submit = async (event) => {
    event.preventDefault();
    try {
      const made = await request('POST', '/admin/invitations', { uses: Number(uses.value), days: Number(days.value) });
      show(made.invitation);
      showMade('Invitation', 'Whoever has this link can take a name. It is shown only now.', made);
    } catch (error) {
      fail(error);
    }
  };
  return section(
    'Invitations',
    h(
      'form',
      { class: 'line', on: { submit, input: () => say('') } },
      h('label', {}, h('span', {}, 'People'), uses),
      h('label', {}, h('span', {}, 'Days'), days),
      h('button', { type: 'submit', class: 'primary' }, 'Invite'),
    ),
    line,
    list,
  );
}

function invitationRow({ id, uses, expires }, say, fail) {
  const until = new Date(expires).toLocaleDateString('en', { dateStyle: 'medium' });
  const words = h(
    'div',
    { class: 'words' },
    h('b', {}, uses === 1 ? 'For one person' : `For ${uses} people`),
    h('span', { class: 'hint' }, `Until ${until}`),
  );
  const row = h('li', {}, words);
  const withdraw = button(
    'Withdraw',
    'quiet',
    async () => {
      await request('DELETE', `/admin/invitations/${id}`);
      row.remove();
      say('The invitation is withdrawn.');
    },
    fail,
  );
  row.append(withdraw);
  return row;
}

function peopleSection(first) {
  const { line, say, fail } = status();
  const list = h('ul', { class: 'rows' });
  let after = null;
  let asked = 0;
  const find = h('input', { type: 'search', name: 'name', autocomplete: 'off', dir: 'auto' });
  const show = (page) => {
    list.append(...page.people.map((person) => personRow(person, say, fail)));
    after = page.after;
    more.hidden = after === null;
  };
  const load = async (from) => {
    const number = (asked += 1);
    const query = new URLSearchParams({ name: find.value.trim(), after: from ?? '' });
    const page = await request('GET', `/admin/people?${query}`.replaceAll('+', '%20'));
    // An answer that a newer one has overtaken.
    if (number !== asked) return;
    if (from === null) list.replaceChildren();
    show(page);
    say(list.children.length === 0 ? 'Nobody has a name that begins so.' : '');
  };
  const more = button('Show more', 'quiet', () => load(after), fail);
  let typing;
  find.addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(() => load(null).catch(fail), TYPING_MS);
  });
  show(first);
  return section('People', h('label', { class: 'find' }, h('span', {}, 'Find by name'), find), line, list, more);
}

function personRow(person, say, fail) {
  const { user, owner, used, devices } = person;
  const path = `/admin/people/${user.id}`;
  const about = `${owner ? 'Owner · ' : ''}${devicesOf(devices)} · last used ${ago(used)}`;
  const words = h('div', { class: 'words' }, h('b', {}, h('bdi', {}, user.name)), h('span', { class: 'hint' }, about));
  const row = h('li', {}, words);
  const change = (changes) => {
    const changed = personRow({ ...person, ...changes }, say, fail);
    row.replaceWith(changed);
    changed.querySelector('button')?.focus();
  };
  const rename = () =>
    askText({
      title: `Rename ${user.name}`,
      label: 'New name',
      value: user.name,
      action: 'Rename',
      send: async (name) => {
        const { user: renamed } = await request('PATCH', path, { name });
        change({ user: renamed });
        say(`The name is ${renamed.name} now.`);
      },
    });
  const link = async () => {
    const made = await request('POST', `${path}/link`);
    const advice = 'Give it to this person only: whoever opens it within ten minutes becomes them.';
    showMade(`A link for ${user.name}`, advice, made);
  };
  const signOut = async () => {
    const all = 'All their devices are signed out. The name stays theirs.';
    if (!(await isSure(`Sign out ${user.name}?`, all, 'Sign out'))) return;
    await request('DELETE', `${path}/devices`);
    change({ devices: 0 });
    say(`${user.name} is signed out.`);
  };
  const remove = async () => {
    const all = 'All their devices are signed out, and the name is free. Their messages stay.';
    if (!(await isSure(`Remove ${user.name}?`, all, 'Remove'))) return;
    await request('DELETE', path);
    row.remove();
    say(`${user.name} is removed.`);
  };
  const erase = async () => {
    const all =
      'All their devices are signed out. Their name and reactions are taken out of the chat, of exports and of later backups. Their messages stay under “Deleted user”, or are deleted with their files. This can’t be undone.';
    const messages = await choose(
      `Erase ${user.name}?`,
      [h('p', {}, all)],
      [
        { text: 'Cancel', value: null, style: 'quiet' },
        { text: 'Erase, keep messages', value: 'keep', style: 'danger' },
        { text: 'Erase with messages', value: 'delete', style: 'danger' },
      ],
    );
    if (!messages) return;
    await request('DELETE', `${path}?messages=${messages}`);
    row.remove();
    say(`${user.name} is erased.`);
  };
  const act = (text, style, work) => {
    const element = button(text, style, work, fail);
    element.setAttribute('aria-label', `${text}: ${user.name}`);
    return element;
  };
  const acts = [act('Rename', 'quiet', rename), act('Sign-in link', 'quiet', link)];
  if (!owner)
    acts.push(act('Sign out', 'quiet', signOut), act('Remove', 'danger', remove), act('Erase', 'danger', erase));
  row.append(h('div', { class: 'row-acts' }, ...acts));
  return row;
}

function channelsSection(first) {
  const { line, say, fail } = status();
  const list = h('ul', { class: 'rows' });
  let after = null;
  const show = (page) => {
    list.append(...page.channels.map((channel) => channelRow(channel, say, fail)));
    after = page.after;
    more.hidden = after === null;
  };
  const load = async () => show(await request('GET', `/admin/channels?after=${encodeURIComponent(after)}`));
  const more = button('Show more', 'quiet', load, fail);
  show(first);
  return section('Channels', list, more, line);
}

function channelRow(channel, say, fail) {
  const { name, title, topic, kind, archived } = channel;
  const about = [kind === 'private' && 'Private', archived && 'Archived', topic].filter(Boolean).join(' · ');
  const words = h('div', { class: 'words' }, h('b', {}, h('bdi', {}, title)), h('span', { class: 'hint' }, about));
  const path = `/admin/channels/${encodeURIComponent(name)}`;
  const save = (text, format, ending) => {
    const href = `${path}/export?format=${format}`;
    return h('a', { href, download: `${title}.${ending}`, 'aria-label': `Export ${title} as ${text}` }, text);
  };
  const text = archived ? 'Restore' : 'Archive';
  const archive = button(
    text,
    'quiet',
    async () => {
      await request('PATCH', path, { archived: !archived });
      const changed = channelRow({ ...channel, archived: !archived }, say, fail);
      row.replaceWith(changed);
      changed.querySelector('button')?.focus();
      say(archived ? `${title} is back.` : `${title} is archived: it can be read, and nobody writes there.`);
    },
    fail,
  );
  archive.setAttribute('aria-label', `${text}: ${title}`);
  const acts = h(
    'div',
    { class: 'exports' },
    save('JSON', 'json', 'json'),
    save('Markdown', 'markdown', 'md'),
    archive,
  );
  const row = h('li', {}, words, acts);
  return row;
}

function devicesOf(count) {
  if (count === 0) return 'Signed out';
  return count === 1 ? '1 device' : `${count} devices`;
}

function isSure(title, words, action) {
  return choose(
    title,
    [h('p', {}, words)],
    [
      { text: 'Cancel', value: false, style: 'quiet' },
      { text: action, value: true, style: 'danger' },
    ],
  );
}
