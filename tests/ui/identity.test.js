import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatCore } from '../../chatcore-hyper/ui/core/chat-core.js';
import { FakeShelf, settle } from './fakes.js';
import { ANN, BOB, info, opened, snapshot, welcome, world } from './world.js';

/** What Ann left unsent, and a client that does not know yet whose it is. */
async function left() {
  const shelf = new FakeShelf();
  const before = world({ shelf });
  before.core.send('general', { text: 'left' });
  await settle();
  before.core.stop();
  const asked = [];
  const { net, clock } = before;
  const openOutbox = (id) => asked.push(id) && shelf.open();
  const core = new ChatCore({ url: 'ws://chat.test/chat/ws', WebSocket: net.WebSocket, clock, openOutbox });
  return { core, net, asked };
}

test('who the user is may come with the welcome, and the outbox opens then', async () => {
  const { core, net, asked } = await left();
  core.open('general');
  core.start();
  await settle();
  assert.deepEqual([core.user.id, asked], ['', []]);
  const socket = await welcome({ net });
  assert.deepEqual([core.user, asked], [ANN, ['u_ann']]);
  const sent = socket.take('publish');
  assert.equal(sent.text, 'left');
  socket.ok(sent, { channel: 'general', seq: 1, at: '2026-01-01T00:00:00.000Z', duplicate: false });
  await settle();
  net.last.end();
  core.connection.retryNow();
  await welcome({ net });
  assert.deepEqual(asked, ['u_ann']);
});

test('what was written before the welcome is kept and sent after it', async () => {
  const { core, net } = await left();
  core.send('general', { text: 'early' });
  core.start();
  const socket = await welcome({ net });
  const first = socket.take('publish');
  assert.equal(first.text, 'left');
  socket.ok(first, { seq: 1 });
  await settle();
  assert.equal(socket.take('publish').text, 'early');
});

test('nothing is sent in the name of somebody who signed in meanwhile', async () => {
  const { core, net } = await opened();
  let replaced = 0;
  core.on('replaced', () => (replaced += 1));
  net.last.end();
  core.send('general', { text: 'mine' });
  core.connection.retryNow();
  net.last.say({ type: 'welcome', version: 1, user: BOB, limits: {} });
  await settle();
  assert.deepEqual([replaced, core.user, core.connection.phase], [1, ANN, 'idle']);
  assert.deepEqual(net.last.sent, []);
});

test('who was signed out may try again, and is let in', async () => {
  const { core, net } = await opened();
  net.last.end(4100);
  assert.equal(core.connection.phase, 'closed');
  core.connection.retryNow();
  await welcome({ net });
  assert.equal(core.connection.phase, 'open');
});

test('a client follows no more channels than it is told to', async () => {
  const { net, clock } = world();
  const core = new ChatCore({ url: 'ws://chat.test/chat/ws', WebSocket: net.WebSocket, clock, maxFollowed: 0 });
  core.open('general');
  core.start();
  const socket = await welcome(
    { net },
    { channels: ['art', 'general'].map((name) => info(name)), answers: { general: snapshot('general', []) } },
  );
  assert.deepEqual(
    socket.sent.filter(({ type }) => type === 'subscribe').map(({ channel }) => channel),
    ['general'],
  );
});

test('a path of the server has its address, whatever the page’s is', () => {
  const core = new ChatCore({ url: 'wss://chat.test/team/chat/ws' });
  assert.equal(core.addressOf('/team/chat/attachments/a_1/x.png'), 'https://chat.test/team/chat/attachments/a_1/x.png');
});
