import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, settle } from './fakes.js';
import { ReadMarker } from '../../chatcore-hyper/ui/core/read-marker.js';
import { ChatError } from '../../chatcore-hyper/ui/core/protocol.js';
import { answer, info, snapshot, welcome, world } from './world.js';

test('a read position that is refused for the moment is told again', async () => {
  const clock = new FakeClock();
  const told = [];
  const reads = new ReadMarker({
    clock,
    tell: async (channel, seq) => {
      told.push([channel, seq]);
      if (told.length === 1) throw new ChatError({ code: 'rate_limited', retryable: true, retry_ms: 800 });
    },
  });
  reads.mark('general', 5);
  await clock.advance(500);
  assert.equal(told.length, 1);
  await clock.advance(800);
  assert.deepEqual(told, [
    ['general', 5],
    ['general', 5],
  ]);
  await clock.advance(10_000);
  assert.equal(told.length, 2);
});

test('many channels are told a hundred at a time', async () => {
  const clock = new FakeClock();
  const told = new Set();
  const reads = new ReadMarker({ clock, tell: async (channel) => void told.add(channel) });
  for (let at = 0; at < 101; at += 1) reads.mark(`c${at}`, 1);
  reads.flush();
  await settle();
  assert.equal(told.size, 100);
  await clock.advance(500);
  assert.equal(told.size, 101);
});

test('all channels are read at once, those that are not followed too', async () => {
  const here = world({ maxFollowed: 1 });
  here.core.start();
  const channels = [info('a', 4, 1), info('b'), info('c', 7, 5)];
  const socket = await welcome(here, {
    channels,
    answers: { a: snapshot('a', [], { head: 4 }) },
    history: { a: [], c: [] },
  });
  assert.deepEqual(
    here.core.channels.map(({ unread }) => unread),
    [3, 0, 2],
  );
  here.core.markAllRead();
  assert.deepEqual(
    here.core.channels.map(({ unread }) => unread),
    [0, 0, 0],
  );
  await here.clock.advance(500);
  const told = socket.sent.filter(({ type }) => type === 'read').map(({ channel, seq }) => [channel, seq]);
  assert.deepEqual(told, [
    ['a', 4],
    ['c', 7],
  ]);
  await answer(socket, { channels });
});
