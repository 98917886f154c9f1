import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_FOLLOWED } from '../../chatcore-hyper/ui/core/chat-core.js';
import { answer, event, info, message, snapshot, welcome, world } from './world.js';

const run = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => message(from + at));
const others = Array.from({ length: MAX_FOLLOWED }, (_, at) => info(`c${at}`));

/** A client in whose list `zoo` is one channel too many to be followed. */
async function crowded(zoo) {
  const here = world();
  const told = [];
  here.core.on('message', ({ name, message: { seq }, mention }) => told.push([name, seq, mention]));
  here.core.start();
  const socket = await welcome(here, { channels: [...others, zoo], history: { zoo: run(1, zoo.head) } });
  return { ...here, socket, told, zoo: here.core.channel('zoo') };
}

test('a channel that is not followed gets its count, its mentions and its news', async () => {
  const { clock, core, socket, told, zoo } = await crowded(info('zoo', 3));
  assert.equal(zoo.position, null);
  let shown = null;
  core.on('channels', () => (shown = zoo.unread));
  await clock.advance(15_000);
  const log = [...run(1, 3), message(4), message(5, { text: 'hi @ann' })];
  await answer(socket, { channels: [...others, info('zoo', 5, 3)], history: { zoo: log } });
  assert.deepEqual([shown, zoo.mentions, core.mentions], [2, [5], 1]);
  assert.deepEqual(told, [
    ['zoo', 4, false],
    ['zoo', 5, true],
  ]);
  // What is told once is not told again.
  await clock.advance(15_000);
  await answer(socket, { channels: [...others, info('zoo', 5, 3)], history: { zoo: log } });
  assert.equal(told.length, 2);
});

test('what was unread before the page came is looked at and not told as news', async () => {
  const { clock, told, zoo, socket } = await crowded(info('zoo', 3, 1));
  await clock.advance(1000);
  await answer(socket, { history: { zoo: [message(2, { text: '@ann' }), message(3)] } });
  assert.deepEqual([zoo.unread, told], [2, []]);
});

test('channels that are all followed are not asked for again', async () => {
  const here = world();
  here.core.start();
  const socket = await welcome(here, { channels: [info('a'), info('b')] });
  await here.clock.advance(20_000);
  assert.equal(socket.sent.filter(({ type }) => type === 'channels').length, 1);
});

test('channels that are not followed are looked at one after the other', async () => {
  const here = world();
  here.core.start();
  const crowd = Array.from({ length: 20 }, (_, at) => info(`z${at}`, 2, 1));
  const socket = await welcome(here, { channels: [...others, ...crowd] });
  for (let step = 0; step < 4; step += 1) {
    await here.clock.advance(250);
    const asked = socket.inbox.filter(({ type }) => type === 'history');
    assert.ok(asked.length <= 1, `${asked.length} at once`);
    const history = Object.fromEntries(crowd.map(({ name }) => [name, run(1, 2)]));
    await answer(socket, { history });
  }
  assert.ok(socket.sent.filter(({ type }) => type === 'history').length >= 3);
});

test('a mention is found however far back in the unread it is', async () => {
  const here = world();
  here.core.start();
  const log = run(1, 400).map((one) => (one.seq === 5 ? { ...one, text: '@ann' } : one));
  const socket = await welcome(here, {
    channels: [info('rust', 400, 2)],
    answers: { rust: snapshot('rust', [], { head: 400 }) },
    history: { rust: log },
  });
  const rust = here.core.channel('rust');
  assert.deepEqual(rust.mentions, []);
  for (let step = 0; step < 4; step += 1) {
    await here.clock.advance(250);
    await answer(socket, { history: { rust: log } });
  }
  assert.deepEqual(rust.mentions, [5]);
  const asked = socket.sent.filter(({ type }) => type === 'history').map(({ before, limit }) => [before, limit]);
  assert.deepEqual(asked, [
    [401, 100],
    [301, 100],
    [201, 100],
    [101, 98],
  ]);
});

test('a mention that came to a channel in the background while offline is told', async () => {
  const here = world();
  const told = [];
  here.core.on('message', ({ name, message: { seq }, mention }) => told.push([name, seq, mention]));
  here.core.start();
  const first = await welcome(here, {
    channels: [info('rust', 2)],
    answers: { rust: snapshot('rust', [], { head: 2 }) },
  });
  first.say({ ...event(3), channel: 'rust' });
  first.end();
  await here.clock.advance(500);
  const log = [...run(1, 3), message(4, { text: '@ann' })];
  await welcome(here, {
    channels: [info('rust', 4, 2)],
    answers: { rust: snapshot('rust', [], { head: 4 }) },
    history: { rust: log },
  });
  assert.deepEqual(told, [
    ['rust', 3, false],
    ['rust', 4, true],
  ]);
});
