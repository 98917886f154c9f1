import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answer, ANN, BOB, event, info, message, opened, snapshot, welcome, world } from './world.js';

/** A client that looks at `general` while `rust` has unread messages. */
async function beside(unread) {
  const here = world();
  here.core.start();
  here.core.open('general');
  const head = unread.at(-1)?.seq ?? 0;
  const socket = await welcome(here, {
    channels: [info('general'), info('rust', head, 0, unread.length)],
    answers: { rust: snapshot('rust', unread) },
  });
  return { ...here, socket, rust: here.core.channel('rust') };
}

const inRust = (seq, fields) => ({ ...event(seq, fields), channel: 'rust' });

test('mentions are counted in what is unread and in what comes, not in one\'s own messages', async () => {
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
  assert.deepEqual(told, [['rust', true], ['rust', false]]);
});

test('reading in another tab takes the mentions away, up to what was read', async () => {
  const { core, socket, rust } = await beside([message(1, { text: '@ann' })]);
  socket.say(inRust(2, { text: '@ann again' }));
  socket.say({ type: 'read', channel: 'rust', seq: 1 });
  assert.deepEqual(rust.mentions, [2]);
  socket.say({ type: 'read', channel: 'rust', seq: 2 });
  assert.equal(core.mentions, 0);
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
