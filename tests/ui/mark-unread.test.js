import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from './fakes.js';
import { answer, event, info, message, opened, snapshot, welcome, world } from './world.js';

test('what is marked as unread counts from there, with its mentions, and stays so while it is in sight', async () => {
  const here = await opened(5);
  const { core, socket } = here;
  const general = core.channel('general');
  socket.say(event(6, { text: 'hi @ann' }));
  core.markRead('general');
  const done = core.markUnread('general', 4);
  // What was read before is told before.
  const order = socket.sent
    .filter(({ type }) => type === 'read' || type === 'unread')
    .map(({ type, seq }) => [type, seq]);
  assert.deepEqual(order, [
    ['read', 6],
    ['unread', 4],
  ]);
  socket.ok(socket.take('unread'));
  await done;
  assert.deepEqual([general.read, general.unread, general.mentions, general.held], [3, 3, [6], true]);
  await answer(socket, { channels: [info('general', 6, 3)] });
  assert.deepEqual([general.read, general.unread], [3, 3]);
  core.markRead('general');
  assert.deepEqual([general.unread, general.held], [0, false]);
});

test('what another tab marks as unread is unread here', async () => {
  const here = world();
  here.core.start();
  const rustAt = (read) => ({
    channels: [info('rust', 9, read)],
    answers: { rust: snapshot('rust', [], { head: 9 }) },
    history: { rust: [8, 9].map((seq) => message(seq)) },
  });
  const socket = await welcome(here, rustAt(9));
  const rust = here.core.channel('rust');
  const told = [];
  here.core.on('unread', (detail) => told.push(detail));
  socket.say({ type: 'unread', channel: 'rust', seq: 8 });
  await answer(socket, rustAt(7));
  assert.deepEqual([rust.read, rust.unread, told], [7, 2, [{ name: 'rust', seq: 8 }]]);
});

test('a server that cannot mark as unread leaves all as it was', async () => {
  const { core, socket } = await opened(5);
  const failed = assert.rejects(core.markUnread('general', 2), { code: 'unknown_command' });
  socket.error(socket.take('unread'), { code: 'unknown_command' });
  await failed;
  await settle();
  const { read, unread, held } = core.channel('general');
  assert.deepEqual([read, unread, held], [5, 0, false]);
});
