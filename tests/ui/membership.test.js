import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from './fakes.js';
import { answer, ANN, BOB, event, info, message, opened, snapshot, texts, welcome, world } from './world.js';

const CLEO = { id: 'u_cleo', name: 'Cleo' };
const PLANS = `pr.${'a'.repeat(26)}`;
const DIRECT = `dm.${'a'.repeat(26)}`;

/** A channel as a server with membership tells of it. */
const about = (name, fields = {}, head = 0, read = head) => ({
  ...info(name, head, read),
  title: name,
  kind: 'open',
  role: 'member',
  members: null,
  archived: false,
  notify: 'all',
  mentions: 0,
  ...fields,
});
const plans = (fields) => about(PLANS, { title: 'Plans', kind: 'private', role: 'owner', members: 2, ...fields });
const direct = (fields) => about(DIRECT, { title: '', kind: 'direct', users: [ANN, BOB], members: 2, ...fields });

/** A client with these channels, and `open` on the screen. */
async function among(channels, { open = 'general', answers = {} } = {}) {
  const here = world();
  here.core.start();
  here.core.open(open);
  const socket = await welcome(here, { channels, answers });
  return { ...here, socket, channel: (name) => here.core.channel(name) };
}

/** Runs a command of the client, and answers it. @returns what was sent, and what came of it */
async function asked(socket, type, running, fields = {}) {
  await settle();
  const command = socket.take(type);
  socket.ok(command, fields);
  const { id: _, ...sent } = command;
  return [sent, await running];
}

test('a channel of an earlier server is open, joined and called by its name', async () => {
  const { core } = await opened(1);
  const { title, label, kind, isJoined, isTold, archived } = core.channel('general');
  assert.deepEqual(
    [title, label, kind, isJoined, isTold, archived],
    ['general', '#general', 'open', true, false, false],
  );
  assert.equal(core.hasMembership, false);
});

test('a channel is called by its title, and a direct one by the others in it', async () => {
  const alone = about('dm.b', { kind: 'direct', users: [ANN] });
  const group = about('dm.c', { kind: 'direct', users: [ANN, BOB, CLEO] });
  const { core } = await among([about('general'), plans(), direct(), alone, group]);
  const labels = ['general', PLANS, DIRECT, 'dm.b', 'dm.c'].map((name) => core.label(name));
  assert.deepEqual(labels, ['#general', 'Plans', 'Bob', 'Ann (you)', 'Bob and Cleo']);
  assert.equal(core.label('nowhere'), '#nowhere');
  assert.equal(core.label(`pr.${'z'.repeat(26)}`), 'this conversation');
});

test('only channels that one has joined are followed and counted', async () => {
  const other = about('other', { role: null }, 5, 0);
  const { core, socket } = await among([about('general'), other, plans()]);
  const followed = socket.sent.filter(({ type }) => type === 'subscribe').map(({ channel }) => channel);
  assert.deepEqual(followed.sort(), ['general', PLANS]);
  assert.equal(core.isUnread, false);
  const [sent] = await asked(socket, 'join', core.membership.join('other'));
  assert.deepEqual(sent, { type: 'join', channel: 'other' });
  assert.equal(core.isUnread, true);
  assert.equal(socket.take('subscribe')?.channel, 'other');
});

test('an open channel that was left stays known, and is followed by nobody', async () => {
  const { core, socket, channel } = await among([about('general'), about('other')]);
  await asked(socket, 'leave', core.membership.leave('other'));
  assert.deepEqual([channel('other').isJoined, core.isTaken('other')], [false, false]);
  // Another page of theirs did it.
  socket.say({ type: 'channel_removed', channel: 'general', reason: 'left' });
  assert.deepEqual([channel('general').isJoined, core.isTaken('general')], [false, false]);
});

test('to be added to a channel lists it, follows it and is told, but not to who created it', async () => {
  const { core, socket } = await among([about('general')]);
  const told = [];
  core.on('added', ({ name }) => told.push(name));
  socket.say({ type: 'channel_added', channel: plans({ role: 'member' }) });
  assert.equal(core.channel(PLANS).title, 'Plans');
  assert.equal(socket.take('subscribe')?.channel, PLANS);
  socket.say({ type: 'channel_added', channel: direct({ created_by: ANN }) });
  assert.deepEqual(told, [PLANS]);
});

test('to be removed takes a channel away at once, with all that was in it', async () => {
  const messages = [message(1, { text: 'secret' })];
  const { core, socket } = await among([about('general'), plans()], {
    open: PLANS,
    answers: { [PLANS]: snapshot(PLANS, messages) },
  });
  const told = [];
  core.on('removed', ({ label, isSaid }) => told.push([label, isSaid]));
  assert.deepEqual(texts(core, PLANS), ['secret']);
  socket.say({ type: 'channel_removed', channel: PLANS, reason: 'removed' });
  assert.equal(core.channel(PLANS), undefined);
  assert.deepEqual([core.isTaken(PLANS), core.label(PLANS)], [true, 'Plans']);
  socket.say({ ...event(2, { text: 'later' }), channel: PLANS });
  assert.equal(core.channel(PLANS), undefined);
  socket.say({ type: 'channel_added', channel: direct() });
  socket.say({ type: 'channel_removed', channel: DIRECT, reason: 'left' });
  assert.deepEqual(told, [
    ['Plans', true],
    ['Bob', false],
  ]);
});

test('a private channel that is gone when the client is back is taken away', async () => {
  const here = await among([about('general'), plans()]);
  here.socket.end();
  await here.clock.advance(5000);
  const socket = here.net.last;
  socket.say({ type: 'welcome', version: 1, user: ANN });
  await settle();
  for (let command = socket.take(); command; command = socket.take()) {
    if (command.type === 'channels') socket.ok(command, { channels: [about('general')] });
    else if (command.channel === PLANS) socket.error(command, { code: 'no_such_channel' });
    else socket.ok(command, snapshot(command.channel, []));
    await settle();
  }
  assert.equal(here.core.channel(PLANS), undefined);
  assert.equal(here.core.isTaken(PLANS), true);
});

test('member and channel events move the position, and stay as notes', async () => {
  const { core, socket, channel } = await among([about('general'), plans()]);
  const member = (seq, op, fields) => ({ type: 'member', channel: PLANS, seq, op, by: ANN, at: 'T', ...fields });
  socket.say(member(1, 'added', { user: CLEO, role: 'member' }));
  socket.say(member(2, 'role', { user: ANN, role: 'member', by: CLEO }));
  socket.say(member(3, 'removed', { user: BOB, role: null }));
  socket.say({ type: 'channel_changed', channel: PLANS, seq: 4, title: 'Summer', by: CLEO, at: 'T' });
  socket.say({ type: 'channel_changed', channel: PLANS, seq: 5, topic: 'Tents', archived: true, by: CLEO, at: 'T' });
  const { position, notes, memberCount, isOwner, title, topic, archived } = channel(PLANS);
  assert.equal(position.seq, 5);
  assert.deepEqual(
    notes.map(({ seq, op }) => [seq, op]),
    [
      [1, 'added'],
      [2, 'role'],
      [3, 'removed'],
      [4, 'changed'],
      [5, 'changed'],
    ],
  );
  assert.deepEqual([memberCount, isOwner, title, topic, archived], [2, false, 'Summer', 'Tents', true]);
  assert.equal(core.connection.phase, 'open');
});

test('at most two hundred notes are kept, the newest', async () => {
  const { socket, channel } = await among([about('general')]);
  for (let seq = 1; seq <= 230; seq += 1)
    socket.say({ type: 'channel_changed', channel: 'general', seq, topic: `t${seq}`, by: BOB, at: 'T' });
  const { notes } = channel('general');
  assert.deepEqual([notes.length, notes.at(-1).seq], [200, 230]);
});

test('a malformed note moves the position all the same', async () => {
  const { socket, channel } = await among([about('general')]);
  socket.say({ type: 'member', channel: 'general', seq: 1, op: 7, user: 'nobody', by: null });
  socket.say({ type: 'channel_changed', channel: 'general', seq: 2, title: 5, archived: 'no' });
  const { position, title, archived, notes } = channel('general');
  assert.deepEqual([position.seq, title, archived, notes.length], [2, 'general', false, 1]);
});

test('who is renamed is called so everywhere at once, the signed-in user too', async () => {
  const { core, socket } = await among([about('general'), direct()], {
    answers: { general: snapshot('general', [message(1)]) },
  });
  let told = 0;
  core.on('names', () => (told += 1));
  socket.say({ type: 'user_changed', user: { ...BOB, name: 'Rob' } });
  socket.say({ type: 'user_changed', user: { ...ANN, name: 'Anna' } });
  assert.deepEqual([core.label(DIRECT), core.user.name, told], ['Rob', 'Anna', 2]);
  const [{ author }] = core.channel('general').messages;
  assert.equal(core.names.of(author).name, 'Rob');
  // A message of before does not bring the former name back.
  socket.say(event(2));
  assert.equal(core.label(DIRECT), 'Rob');
});

test('the commands of membership are what the protocol says', async () => {
  const { core, socket } = await among([about('general'), plans()]);
  const { membership } = core;
  const runs = [
    ['update_channel', () => membership.update(PLANS, { title: 'Summer' }), { channel: PLANS, title: 'Summer' }],
    ['add_members', () => membership.add(PLANS, [BOB.id]), { channel: PLANS, users: [BOB.id] }],
    ['remove_member', () => membership.remove(PLANS, BOB.id), { channel: PLANS, user: BOB.id }],
    ['set_role', () => membership.setRole(PLANS, BOB.id, 'owner'), { channel: PLANS, user: BOB.id, role: 'owner' }],
    ['set_notify', () => membership.setNotify(PLANS, 'none'), { channel: PLANS, notify: 'none' }],
    ['leave', () => membership.leave(PLANS), { channel: PLANS }],
  ];
  for (const [type, run, fields] of runs)
    assert.deepEqual(await asked(socket, type, run(), { channel: PLANS }), [{ type, ...fields }, undefined]);
  assert.equal(core.channel(PLANS).isMuted, true);
});

test('a direct channel is opened by the ids of the others, and is there at once', async () => {
  const { core, socket } = await among([about('general')]);
  const running = core.membership.openDirect([BOB.id]);
  const [sent, name] = await asked(socket, 'open_direct', running, { channel: direct(), created: true });
  assert.deepEqual([sent, name], [{ type: 'open_direct', users: [BOB.id] }, DIRECT]);
  assert.equal(core.label(DIRECT), 'Bob');
});

test('a private channel is created with its people, and its title is free', async () => {
  const { core, socket } = await among([about('general')]);
  const fields = { kind: 'private', title: 'Plans', members: [BOB.id], history: 'joined' };
  const [sent, channel] = await asked(socket, 'create_channel', core.createChannel(fields), { channel: plans() });
  assert.deepEqual(sent, { type: 'create_channel', ...fields });
  assert.deepEqual([channel.name, channel.title, channel.isOwner], [PLANS, 'Plans', true]);
});

test('people and members are read a page at a time, and what is malformed is left out', async () => {
  const { core, socket } = await among([about('general')]);
  const page = { users: [BOB, { id: 7 }, 'nobody'], more: true };
  const [sent, found] = await asked(socket, 'users', core.membership.users({ query: 'b', after: ANN.id }), page);
  assert.deepEqual(sent, { type: 'users', query: 'b', after: ANN.id, limit: 50 });
  assert.deepEqual(found, { users: [BOB], more: true });
  const members = { members: [{ user: CLEO, role: 'owner', online: true }, { role: 'member' }], more: true };
  const [, read] = await asked(socket, 'members', core.membership.members('general'), members);
  assert.deepEqual(read, { members: [{ user: CLEO, role: 'owner', online: true }], more: true });
  assert.equal(core.names.idOf('Cleo'), CLEO.id);
  const [, none] = await asked(socket, 'users', core.membership.users(), { users: 'none', more: true });
  assert.deepEqual(none, { users: [], more: false });
});

test('whether somebody is there is known of a direct channel that nobody looks at', async () => {
  const { socket, channel } = await among([about('general'), direct()], {
    answers: { [DIRECT]: { ...snapshot(DIRECT, []), members: [ANN, BOB] } },
  });
  const isThere = () => channel(DIRECT).members.has(BOB.id);
  assert.equal(isThere(), true);
  socket.say({ type: 'presence', channel: DIRECT, user: BOB, online: false });
  assert.equal(isThere(), false);
  socket.say({ type: 'presence', channel: DIRECT, user: BOB, online: true });
  assert.equal(isThere(), true);
});

test('archived channels are asked for once, and are followed by nobody', async () => {
  const { core, socket } = await among([about('general')]);
  const listed = core.listArchived();
  const old = about('old', { archived: true });
  const [sent] = await asked(socket, 'channels', listed, { channels: [about('general'), old] });
  assert.deepEqual(sent, { type: 'channels', archived: true });
  assert.equal(core.channel('old').archived, true);
  assert.equal(
    socket.inbox.find(({ channel }) => channel === 'old'),
    undefined,
  );
  core.counts.refresh();
  const again = socket.take('channels');
  assert.equal('archived' in again, false);
});

test('an archived channel that is opened by its address is looked for once', async () => {
  const old = about('old', { archived: true }, 1);
  const here = world();
  here.core.start();
  here.core.open('old');
  const answers = { old: snapshot('old', [message(1)]) };
  const socket = await welcome(here, { channels: [about('general')], answers });
  const asked = () => socket.sent.filter(({ type }) => type === 'channels');
  assert.deepEqual(
    asked().map(({ archived }) => archived),
    [undefined, true],
  );
  here.core.counts.refresh(true);
  await answer(socket, { channels: [about('general'), old], answers });
  assert.deepEqual([here.core.channel('old').archived, asked().length], [true, 3]);
});

test('a search of everything says of each message where it stands, and goes on at an opaque place', async () => {
  const { core, socket } = await among([about('general')]);
  const first = core.search(null, 'tea');
  const found = { messages: [{ ...message(3), channel: PLANS }, message(4)], more: true, before: 'xyz' };
  const [sent, { messages, more, before }] = await asked(socket, 'search', first, found);
  assert.deepEqual(sent, { type: 'search', query: 'tea' });
  assert.deepEqual([messages.map(({ channel, seq }) => [channel, seq]), more, before], [[[PLANS, 3]], true, 'xyz']);
  const [next] = await asked(socket, 'search', core.search(null, 'tea', before), { messages: [], more: false });
  assert.equal(next.before, 'xyz');
});

test('an older list does not bring back what one is in no longer', async () => {
  const { core, socket, channel } = await among([about('general'), plans()]);
  await asked(socket, 'leave', core.membership.leave(PLANS));
  socket.say({ type: 'channel_removed', channel: PLANS, reason: 'left' });
  await answer(socket, { channels: [about('general')] });
  assert.equal(channel(PLANS), undefined);
});

test('a picture stays with a person whom the log names without it', async () => {
  const picture = (avatar) => ({ ...BOB, ...(avatar && { avatar }) });
  const channels = [about('general'), direct({ users: [ANN, picture('/bob.png')] })];
  const { core, socket } = await among(channels);
  const [command] = await asked(socket, 'members', Promise.resolve(), {
    members: [{ user: { ...CLEO, avatar: 'https://elsewhere.test/cleo.png' }, role: 'member', online: false }],
  });
  assert.equal(command.channel, 'general', 'the log has no pictures');
  socket.say(event(1));
  assert.equal(core.names.of(BOB).avatar, '/bob.png');
  assert.equal(core.names.of(CLEO).avatar, 'https://elsewhere.test/cleo.png');
  socket.say({ type: 'user_changed', user: picture('/bob-2.png') });
  assert.equal(core.names.of(BOB).avatar, '/bob-2.png');
  socket.say({ type: 'user_changed', user: BOB });
  assert.equal(core.names.of(BOB).avatar, undefined, 'he has taken it away');
});

test('nobody is asked for pictures where nobody has one', async () => {
  const { socket } = await among([about('general'), direct()]);
  await settle();
  assert.equal(
    socket.sent.some(({ type }) => type === 'members'),
    false,
  );
});
