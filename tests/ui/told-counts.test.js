import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from './fakes.js';
import { answer, ANN, BOB, event, info, message, snapshot, welcome, world } from './world.js';

/** A channel as a server tells of it that counts mentions. */
const told = (name, head, read, mentions, fields = {}) => ({
  ...info(name, head, read),
  title: name,
  kind: 'open',
  role: 'member',
  notify: 'all',
  mentions,
  ...fields,
});
const mentioning = (seq, mentions = [ANN.id], fields = {}) => ({ ...message(seq, fields), mentions });

/** A client that looks at `general`, while `rust` is in the background. */
async function beside(rust, answers = {}) {
  const here = world();
  here.core.start();
  here.core.open('general');
  const channels = [told('general', 0, 0, 0), rust];
  const socket = await welcome(here, {
    channels,
    answers: { rust: snapshot('rust', [], { head: rust.head }), ...answers },
  });
  return { ...here, socket, rust: here.core.channel('rust') };
}

const inRust = (seq, mentions, fields) => ({ ...event(seq, fields), mentions, channel: 'rust' });

test('mentions are what the server has counted, and no history is read for them', async () => {
  const { core, socket, rust } = await beside(told('rust', 9, 3, 2));
  assert.deepEqual([rust.unread, rust.mentionCount, core.mentions], [6, 2, 2]);
  assert.equal(
    socket.sent.some(({ type }) => type === 'history'),
    false,
  );
});

test('a message mentions whom its data names, whatever its text says', async () => {
  const { core, socket, rust } = await beside(told('rust', 0, 0, 0));
  const news = [];
  core.on('message', ({ mention }) => news.push(mention));
  socket.say(inRust(1, undefined, { text: 'hi @Ann' }));
  socket.say(inRust(2, [ANN.id], { text: 'hi there' }));
  socket.say(inRust(3, ['@channel']));
  socket.say(inRust(4, ['@here']));
  socket.say(inRust(5, [BOB.id]));
  socket.say(inRust(6, [ANN.id], { author: ANN }));
  assert.deepEqual(news, [false, true, true, true, false]);
  assert.deepEqual([rust.unread, rust.mentionCount], [5, 3]);
  core.markRead('rust');
  assert.deepEqual([rust.unread, rust.mentionCount], [0, 0]);
});

test('an edit and a deletion change the count of what came while one was there', async () => {
  const { socket, rust } = await beside(told('rust', 0, 0, 0));
  socket.say(inRust(1, [ANN.id]));
  socket.say(inRust(2, undefined));
  socket.say({ type: 'edited', channel: 'rust', seq: 3, target: 1, text: 'x', mentions: [], by: BOB, at: 'T' });
  assert.equal(rust.mentionCount, 0);
  socket.say({ type: 'edited', channel: 'rust', seq: 4, target: 2, text: 'x', mentions: [ANN.id], by: BOB, at: 'T' });
  assert.equal(rust.mentionCount, 1);
  socket.say({ type: 'deleted', channel: 'rust', seq: 5, target: 2, by: BOB, at: 'T' });
  assert.equal(rust.mentionCount, 0);
});

test('an edit that says nothing of mentions leaves them', async () => {
  const here = world();
  here.core.start();
  here.core.open('general');
  const socket = await welcome(here, {
    channels: [told('general', 1, 0, 1)],
    answers: { general: snapshot('general', [mentioning(1)]) },
  });
  const general = here.core.channel('general');
  assert.equal(general.mentionCount, 1);
  socket.say({ type: 'edited', channel: 'general', seq: 2, target: 1, text: 'fixed', by: BOB, at: 'T' });
  assert.deepEqual([general.mentionCount, general.message(1).mentions], [1, [ANN.id]]);
  socket.say({ type: 'deleted', channel: 'general', seq: 3, target: 1, by: BOB, at: 'T' });
  assert.equal(general.mentionCount, 0);
});

test('reading a part counts again what is left, by the messages that are here', async () => {
  const here = world();
  here.core.start();
  here.core.open('general');
  await welcome(here, {
    channels: [told('general', 3, 0, 2)],
    answers: { general: snapshot('general', [mentioning(1), message(2), mentioning(3)]) },
  });
  const general = here.core.channel('general');
  here.core.markRead('general', 1);
  assert.deepEqual([general.unread, general.mentionCount], [2, 1]);
  here.core.markRead('general', 3);
  assert.deepEqual([general.unread, general.mentionCount], [0, 0]);
});

test('counts that the server tells by itself are taken over', async () => {
  const { core, socket, rust } = await beside(told('rust', 9, 3, 2));
  let shown = 0;
  core.on('channels', () => (shown += 1));
  socket.say({ type: 'counts', channel: 'rust', unread: 6, mentions: 1 });
  assert.deepEqual([rust.unread, rust.mentionCount, shown], [6, 1, 1]);
  for (const wrong of [{ unread: 1 }, { unread: 'x', mentions: 0 }, { unread: -1.5, mentions: 0 }])
    socket.say({ type: 'counts', channel: 'rust', ...wrong });
  assert.deepEqual([rust.unread, rust.mentionCount], [6, 1]);
});

test('counts that overtake their message do not count it twice', async () => {
  const { socket, rust } = await beside(told('rust', 0, 0, 0));
  socket.say(inRust(1, undefined));
  socket.say({ type: 'counts', channel: 'rust', unread: 2, mentions: 1 });
  socket.say(inRust(2, [ANN.id]));
  await answer(socket, { channels: [told('general', 0, 0, 0), told('rust', 2, 0, 1)] });
  assert.deepEqual([rust.unread, rust.mentionCount], [2, 1]);
  // Those that come after it neither.
  socket.say({ type: 'counts', channel: 'rust', unread: 2, mentions: 1 });
  assert.deepEqual([rust.unread, rust.mentionCount], [2, 1]);
});

test('counts of what was read here meanwhile bring nothing back', async () => {
  const { core, socket, rust } = await beside(told('rust', 4, 0, 1));
  core.markRead('rust');
  socket.say({ type: 'counts', channel: 'rust', unread: 4, mentions: 1 });
  await settle();
  assert.deepEqual([rust.unread, rust.mentionCount], [0, 0]);
});

test('what is muted is in no mark of the page', async () => {
  const { core, socket, rust } = await beside(told('rust', 4, 0, 1, { notify: 'none' }));
  assert.deepEqual([rust.unread, rust.isMuted, core.isUnread, core.mentions], [4, true, false, 0]);
  const muting = core.membership.setNotify('rust', 'all');
  socket.ok(socket.take('set_notify'));
  await muting;
  assert.deepEqual([core.isUnread, core.mentions], [true, 1]);
});

test('a message names those that its text mentions, and an edit those that are left', async () => {
  const { core, socket } = await beside(told('rust', 0, 0, 0));
  core.names.add(BOB);
  core.send('general', { text: '@Bob and @channel, `@here` is code' });
  await settle();
  const sent = socket.take('publish');
  assert.deepEqual(sent.mentions, [BOB.id, '@channel']);
  socket.ok(sent, { channel: 'general', seq: 1, at: 'T' });
  socket.say({ ...event(1, { author: ANN, text: sent.text, nonce: sent.nonce }), mentions: sent.mentions });
  const edited = core.changes.edit('general', 1, 'nobody');
  const edit = socket.take('edit');
  assert.deepEqual(edit.mentions, []);
  socket.ok(edit, { channel: 'general', seq: 2 });
  assert.equal(await edited, true);
  core.send('general', { text: 'nobody' });
  await settle();
  assert.equal('mentions' in socket.take('publish'), false);
});

test('an earlier server is told of no mentions', async () => {
  const here = world();
  here.core.start();
  here.core.open('general');
  const socket = await welcome(here, { channels: [info('general')] });
  here.core.names.add(BOB);
  here.core.send('general', { text: '@Bob' });
  await settle();
  assert.equal('mentions' in socket.take('publish'), false);
});
