import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from './fakes.js';
import { answer, ANN, BOB, event, greet, info, message, opened, snapshot, welcome, world } from './world.js';

/** A client that looks at `general` while `rust` has unread messages. */
async function beside(unread) {
  const here = world();
  here.core.start();
  here.core.open('general');
  const head = unread.at(-1)?.seq ?? 0;
  const socket = await welcome(here, {
    channels: [info('general'), info('rust', head, 0, unread.length)],
    answers: { rust: snapshot('rust', [], { head }) },
    history: { rust: unread },
  });
  return { ...here, socket, rust: here.core.channel('rust') };
}

const inRust = (seq, fields) => ({ ...event(seq, fields), channel: 'rust' });

test("mentions are counted in what is unread and in what comes, not in one's own messages", async () => {
  const { core, socket, rust } = await beside([message(1, { text: 'hi @ann' }), message(2, { text: 'hi @anna' })]);
  assert.deepEqual(rust.mentions, [1]);
  assert.deepEqual(rust.messages, []);
  const told = [];
  core.on('message', ({ name, mention }) => told.push([name, mention]));
  socket.say(inRust(3, { text: '@Ann: look' }));
  socket.say(inRust(4, { text: '@Ann', author: ANN }));
  socket.say(inRust(5, { text: 'nobody' }));
  assert.deepEqual(rust.mentions, [1, 3]);
  assert.equal(core.mentions, 2);
  assert.deepEqual(told, [
    ['rust', true],
    ['rust', false],
  ]);
});

test('what comes between the list of channels and the subscription is counted and looked at for mentions', async () => {
  const here = world();
  here.core.start();
  here.core.open('general');
  const socket = await greet(here);
  socket.ok(socket.take('subscribe'), snapshot('general', []));
  socket.ok(socket.take('channels'), { channels: [info('general'), info('rust')] });
  await settle();
  await answer(socket, {
    channels: [info('general'), info('rust', 2, 0, 2)],
    answers: { rust: snapshot('rust', [], { head: 2 }) },
    history: { rust: [message(1, { text: 'good morning' }), message(2, { text: 'have a look, @ann' })] },
  });
  const rust = here.core.channel('rust');
  assert.deepEqual([rust.unread, rust.mentions, rust.messages], [2, [2], []]);
  socket.say(inRust(3, { text: '@ann' }));
  assert.deepEqual([rust.unread, rust.mentions], [3, [2, 3]]);
});

test('a channel in the background that lagged is counted and looked at anew', async () => {
  const { socket, rust } = await beside([message(1, { text: '@ann' })]);
  const all = [1, 2, 3].map((seq) => message(seq, { text: '@ann' }));
  socket.say({ type: 'lagged', channel: 'rust', from: 2, to: 3 });
  await answer(socket, {
    channels: [info('general'), info('rust', 3, 0, 3)],
    answers: { rust: snapshot('rust', [], { head: 3 }) },
    history: { rust: all },
  });
  assert.deepEqual([rust.unread, rust.mentions], [3, [1, 2, 3]]);
});

test('a message that overtakes the answer with the counts is counted, and once', async () => {
  const { core, socket, rust } = await beside([message(1)]);
  socket.say(inRust(2));
  socket.say({ type: 'lagged', channel: 'rust', from: 3, to: 3 });
  socket.ok(socket.take('subscribe'), snapshot('rust', [], { head: 3 }));
  await settle();
  const counts = socket.take('channels');
  socket.say(inRust(4));
  socket.ok(counts, { channels: [info('general'), info('rust', 3, 0, 3)] });
  await settle();
  assert.equal(rust.unread, 4);
  await answer(socket, { channels: [info('rust', 4, 0, 4)], history: { rust: [] } });
  core.markRead('rust');
  assert.equal(rust.unread, 0);
});

test('reading in another tab takes the mentions away, up to what was read', async () => {
  const { core, socket, rust } = await beside([message(1, { text: '@ann' })]);
  socket.say(inRust(2, { text: '@ann again' }));
  socket.say({ type: 'read', channel: 'rust', seq: 1 });
  assert.deepEqual(rust.mentions, [2]);
  socket.say({ type: 'read', channel: 'rust', seq: 2 });
  assert.equal(core.mentions, 0);
});

test("a longer name known from another channel is not taken for one's own", async () => {
  const { core, socket, rust } = await beside([]);
  socket.say({ type: 'presence', channel: 'general', user: { id: 'u_al', name: 'Ann Lindqvist' }, online: true });
  socket.say(inRust(1, { text: 'ask @Ann Lindqvist' }));
  assert.deepEqual(rust.mentions, []);
  socket.say(inRust(2, { text: 'ask @Ann' }));
  assert.equal(core.mentions, 1);
});

test('code and addresses are counted as no mention', async () => {
  const { core, socket, rust } = await beside([
    message(1, { text: 'see medium.com/@Ann' }),
    message(2, { text: '`@Ann`' }),
  ]);
  const told = [];
  core.on('message', ({ mention }) => told.push(mention));
  socket.say(inRust(3, { text: '```\n@Ann\n```' }));
  assert.deepEqual([rust.mentions, told], [[], [false]]);
});

test('an edit makes or unmakes a mention, and a deleted one is none', async () => {
  const { socket, rust } = await beside([message(1, { text: '@ann' }), message(2, { text: 'nobody' })]);
  socket.say({ type: 'edited', channel: 'rust', seq: 3, target: 1, text: 'nobody', by: BOB, at: 'T' });
  socket.say({ type: 'edited', channel: 'rust', seq: 4, target: 2, text: '@ann', by: BOB, at: 'T' });
  assert.deepEqual(rust.mentions, [2]);
  socket.say({ type: 'deleted', channel: 'rust', seq: 5, target: 2, by: BOB, at: 'T' });
  assert.deepEqual(rust.mentions, []);
});

test('messages that were read before are no mentions, also where they come before the list of channels', async () => {
  const here = world();
  here.core.start();
  here.core.open('general');
  const socket = await welcome(here, {
    channels: [info('general', 2, 1)],
    answers: { general: snapshot('general', [message(1, { text: '@ann' }), message(2, { text: '@ann' })]) },
  });
  await answer(socket);
  assert.deepEqual(here.core.channel('general').mentions, [2]);
  here.core.markRead('general');
  assert.equal(here.core.mentions, 0);
});

test('a hundred mentions of a channel are counted at most', async () => {
  const { core, socket } = await opened(0);
  for (let seq = 1; seq <= 130; seq++) socket.say(event(seq, { text: '@ann' }));
  assert.equal(core.mentions, 100);
});
