import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoff } from '../../chatcore-hyper/ui/core/connection.js';
import { seeded, settle } from './fakes.js';
import { opened, welcome, world } from './world.js';

test('the back-off is anywhere between nothing and a bound that doubles up to 10 seconds', () => {
  const highest = Array.from({ length: 9 }, (_, attempt) => backoff(attempt, () => 1));
  assert.deepEqual(highest, [500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000, 10_000]);
  assert.equal(
    backoff(5, () => 0),
    0,
  );
  const seed = Number(process.env.CHATCORE_SEED ?? Math.floor(Math.random() * 2 ** 32));
  const random = seeded(seed);
  for (let attempt = 0; attempt < 2000; attempt++) {
    const wait = backoff(attempt, random);
    assert.ok(wait >= 0 && wait <= 10_000, `CHATCORE_SEED=${seed}, attempt ${attempt}: ${wait}`);
  }
});

test('each failed attempt waits longer, and a connection that held starts over', async () => {
  const { core, clock, net } = world({ random: () => 1 });
  core.start();
  for (const wait of [500, 1000, 2000]) {
    net.last.end();
    const before = net.sockets.length;
    await clock.advance(wait - 1);
    assert.equal(net.sockets.length, before);
    await clock.advance(1);
    assert.equal(net.sockets.length, before + 1);
  }
  await welcome({ net });
  await clock.advance(10_000);
  net.last.end();
  assert.equal(core.connection.retryAt - clock.now(), 500);
});

test('a connection lost at once does not start the back-off over', async () => {
  const { core, clock, net } = world({ random: () => 1 });
  core.start();
  await welcome({ net });
  net.last.end();
  await clock.advance(500);
  await welcome({ net });
  net.last.end(4000);
  assert.equal(core.connection.retryAt - clock.now(), 1000);
});

for (const code of [1000, 1001, 1006, 1011, 1003, 1007, 1009, 4000, 4001, 4002, 4099, 4200]) {
  test(`close code ${code} connects again`, async () => {
    const { core, clock, socket, net } = await opened(0);
    socket.end(code);
    assert.equal(core.connection.phase, 'waiting');
    await clock.advance(500);
    assert.equal(net.sockets.length, 2);
  });
}

for (const code of [4100, 4101, 4199]) {
  test(`close code ${code} is final`, async () => {
    const { core, clock, socket, net } = await opened(0);
    const closed = [];
    core.on('closed', (detail) => closed.push(detail));
    socket.end(code);
    await clock.advance(120_000);
    assert.deepEqual(closed, [{ code }]);
    assert.equal(core.connection.phase, 'closed');
    assert.equal(net.sockets.length, 1);
  });
}

test('30 silent seconds lead to a ping, and 10 more without an answer to a new connection', async () => {
  const { clock, socket, net } = await opened(0);
  await clock.advance(29_999);
  assert.equal(socket.take('ping'), null);
  await clock.advance(1);
  assert.ok(socket.take('ping'));
  await clock.advance(10_000);
  assert.equal(socket.closed, true);
  await clock.advance(500);
  assert.equal(net.sockets.length, 2);
});

test('an answered ping keeps the connection', async () => {
  const { clock, socket, net } = await opened(0);
  for (let round = 0; round < 5; round++) {
    await clock.advance(30_000);
    const ping = socket.take('ping');
    if (ping) socket.ok(ping);
  }
  await clock.advance(10_000);
  assert.equal(net.sockets.length, 1);
});

test('asking again and again does not keep a dead connection', async () => {
  const { core, clock, socket } = await opened(0);
  for (let second = 0; second < 10; second++) {
    core.connection.check();
    await clock.advance(1000);
  }
  assert.equal(socket.sent.filter((frame) => frame.type === 'ping').length, 1);
  assert.equal(socket.closed, true);
});

test('a server that never greets is left after ten seconds', async () => {
  const { core, clock, net } = world();
  core.start();
  await clock.advance(10_000);
  assert.equal(net.sockets[0].closed, true);
  assert.equal(core.connection.phase, 'waiting');
});

test('a draining server is given the time it asks for', async () => {
  const { core, clock, socket } = await opened(0);
  socket.say({ type: 'draining', retry_ms: 4000 });
  socket.end(1001);
  assert.equal(core.connection.retryAt - clock.now(), 4250);
});

test('a refused attempt ends the session only if the server no longer knows the user', async () => {
  let known = true;
  const { core, clock, net } = world({ checkIdentity: async () => known });
  core.start();
  net.last.end();
  await settle();
  assert.equal(core.connection.phase, 'waiting');
  await clock.advance(500);
  known = false;
  net.last.end();
  await settle();
  assert.equal(core.connection.phase, 'closed');
  assert.equal(core.connection.closeCode, 4100);
});

test('try now connects at once', async () => {
  const { core, net, socket } = await opened(0);
  socket.end();
  core.connection.retryNow();
  assert.equal(net.sockets.length, 2);
});

test('a dead socket that speaks late is not heard', async () => {
  const { core, clock, socket, net } = await opened(0);
  await clock.advance(40_000);
  await clock.advance(500);
  socket.say({ type: 'channel_created', channel: { name: 'late' } });
  socket.end(4100);
  assert.equal(core.channel('late'), undefined);
  assert.notEqual(core.connection.phase, 'closed');
  assert.equal(net.sockets.length, 2);
});

test('a frame over the limit is not sent', async () => {
  const { core, socket } = await opened(0);
  await assert.rejects(core.connection.request('publish', { text: 'é'.repeat(40_000) }), { code: 'too_large' });
  assert.equal(socket.take('publish'), null);
});
