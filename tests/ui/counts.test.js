import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_FOLLOWED } from '../../chatcore-hyper/ui/core/chat-core.js';
import { settle } from './fakes.js';
import { answer, BOB, event, greet, info, message, opened, snapshot, welcome, world } from './world.js';

const inRust = (seq, fields) => ({ ...event(seq, fields), channel: 'rust' });
const run = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => message(from + at));
const count = (socket, type) => socket.sent.filter((frame) => frame.type === type).length;
const readInRust = (seq) => ({ type: 'read', channel: 'rust', seq });
const lagged = { type: 'lagged', channel: 'rust', from: 1, to: 2 };

/** A client that has `general` open and follows `rust`, of which so much is read. */
async function following({ head = 10, read = head } = {}) {
  const here = world();
  here.core.start();
  here.core.open('general');
  const socket = await welcome(here, {
    channels: [info('general'), info('rust', head, read)],
    answers: { rust: snapshot('rust', [], { head }) },
    history: { rust: run(1, head) },
  });
  return { ...here, socket, rust: here.core.channel('rust') };
}

/** Answers the subscription that waits: what is in the background has lagged up to a head. */
async function rejoin(socket, head) {
  socket.ok(socket.take('subscribe'), snapshot('rust', [], { head }));
  await settle();
}

async function counts(socket, ...channels) {
  socket.ok(socket.take('channels'), { channels });
  await settle();
}

test('what was read is told before the counts are asked for', async () => {
  const { core, socket } = await opened(10);
  socket.say(event(11));
  core.markRead('general');
  socket.say({ ...lagged, channel: 'general' });
  socket.ok(socket.take('subscribe'), snapshot('general', run(601, 700)));
  await settle();
  const told = socket.sent.findLast((frame) => frame.type === 'read')?.seq ?? 10;
  await counts(socket, info('general', 700, told));
  assert.equal(core.channel('general').unread, 689);
});

test('an answer that knows nothing of what was read since counts nothing', async () => {
  const here = await opened(10);
  here.socket.end();
  await here.clock.advance(500);
  const socket = await greet(here);
  socket.ok(socket.take('subscribe'), {
    channel: 'general',
    epoch: 'e1',
    head: 11,
    reset: false,
    events: [event(11)],
    members: [],
  });
  await settle();
  here.core.markRead('general');
  await counts(socket, info('general', 12, 10));
  const general = here.core.channel('general');
  assert.deepEqual([general.read, general.unread], [11, 0]);
  socket.say(event(12));
  assert.equal(general.unread, 1);
});

test('a channel that is read elsewhere while its counts are on their way is counted again', async () => {
  const { socket, rust } = await following({ head: 10 });
  socket.say(lagged);
  await rejoin(socket, 20);
  socket.say(readInRust(15));
  await counts(socket, info('general'), info('rust', 20, 10));
  await answer(socket, { channels: [info('general'), info('rust', 20, 15)], history: { rust: run(1, 20) } });
  assert.deepEqual([rust.read, rust.unread], [15, 5]);
});

test('a channel that is read elsewhere while the list is on its way is counted from there', async () => {
  const here = world();
  here.core.start();
  here.core.open('general');
  const socket = await greet(here);
  socket.ok(socket.take('subscribe'), snapshot('general', []));
  socket.say(readInRust(6));
  await counts(socket, info('general'), info('rust', 8, 0));
  await answer(socket, {
    channels: [info('general'), info('rust', 8, 6)],
    answers: { rust: snapshot('rust', [], { head: 8 }) },
    history: { rust: run(1, 8) },
  });
  const rust = here.core.channel('rust');
  assert.deepEqual([rust.read, rust.unread], [6, 2]);
});

test('what the list has counted and the log has yet to bring is counted also where some of it is read elsewhere meanwhile', async () => {
  const here = world();
  here.core.start();
  here.core.open('rust');
  const socket = await greet(here);
  socket.ok(socket.take('subscribe'), snapshot('rust', [message(1), message(2)]));
  await counts(socket, info('rust', 4, 0));
  const rust = here.core.channel('rust');
  assert.equal(rust.unread, 4);
  socket.say(readInRust(1));
  assert.equal(rust.unread, 1);
  socket.say(inRust(3));
  socket.say(inRust(4));
  assert.equal(rust.unread, 3);
});

test('what was counted here of a log that then begins anew is counted by the server', async () => {
  const here = await opened(10);
  here.socket.end();
  await here.clock.advance(500);
  const socket = await greet(here);
  socket.error(socket.take('subscribe'), { code: 'unavailable', retryable: true, retry_ms: 300 });
  await counts(socket, info('general', 700, 10));
  socket.say({ ...readInRust(690), channel: 'general' });
  await here.clock.advance(300);
  await answer(socket, {
    channels: [info('general', 700, 690)],
    answers: { general: snapshot('general', run(601, 700)) },
  });
  assert.equal(here.core.channel('general').unread, 10);
});

test('counts that are refused for the moment are asked for again', async () => {
  const { clock, socket, rust } = await following({ head: 10 });
  socket.say(lagged);
  await rejoin(socket, 20);
  socket.error(socket.take('channels'), { code: 'unavailable', retryable: true, retry_ms: 700 });
  await settle();
  socket.say(inRust(21));
  await clock.advance(700);
  await answer(socket, {
    channels: [info('general'), info('rust', 21, 10)],
    history: { rust: [...run(1, 20), message(21, { text: '@ann' })] },
  });
  assert.deepEqual([rust.unread, rust.mentions], [11, [21]]);
});

test('a look that is refused is tried again once, however often it was asked for', async () => {
  const { clock, socket, rust } = await following({ head: 10 });
  const refuse = async () => {
    for (let command = socket.take('history'); command; command = socket.take('history'))
      socket.error(command, { code: 'unavailable', retryable: true });
    await settle();
  };
  for (let head = 11; head <= 14; head++) {
    socket.say(lagged);
    await rejoin(socket, head);
    await counts(socket, info('general'), info('rust', head, 10));
    await refuse();
    await clock.advance(100);
  }
  const before = count(socket, 'history');
  for (let step = 0; step < 30; step++) {
    await clock.advance(100);
    await refuse();
  }
  assert.equal(count(socket, 'history'), before + 3);
  await clock.advance(1000);
  await answer(socket, { history: { rust: [message(14, { text: '@ann' })] } });
  assert.deepEqual(rust.mentions, [14]);
});

test('a page that was asked for before a channel joined anew is no look at what came since', async () => {
  const { clock, socket, rust } = await following({ head: 10 });
  socket.say(lagged);
  await rejoin(socket, 12);
  await counts(socket, info('general'), info('rust', 12, 10));
  socket.error(socket.take('history'), { code: 'unavailable', retryable: true, retry_ms: 300 });
  await settle();
  socket.say(lagged);
  await clock.advance(300);
  await rejoin(socket, 13);
  const log = [message(11), message(12), message(13, { text: '@ann' })];
  await answer(socket, { channels: [info('general'), info('rust', 13, 10)], history: { rust: log } });
  assert.deepEqual([rust.unread, rust.mentions], [3, [13]]);
});

test('what is tried again is forgotten with the connection', async () => {
  const here = await following({ head: 10 });
  here.socket.say(lagged);
  await rejoin(here.socket, 20);
  here.socket.error(here.socket.take('channels'), { code: 'unavailable', retryable: true, retry_ms: 3000 });
  await settle();
  here.socket.end();
  await here.clock.advance(500);
  const socket = await welcome(here, {
    channels: [info('general'), info('rust', 20)],
    answers: { rust: snapshot('rust', [], { head: 20 }) },
  });
  await here.clock.advance(3000);
  assert.equal(count(socket, 'channels'), 1);
});

test('a channel that is not followed is counted again where it is read further than it was known to go', async () => {
  const here = world();
  here.core.start();
  const others = Array.from({ length: MAX_FOLLOWED }, (_, at) => info(`c${at}`));
  const socket = await welcome(here, { channels: [...others, info('rust', 3)] });
  const rust = here.core.channel('rust');
  assert.equal(rust.position, null);
  socket.say(readInRust(5));
  await answer(socket, { channels: [...others, info('rust', 9, 5)] });
  assert.deepEqual([rust.read, rust.unread], [5, 4]);
});

test('a connection that is lost while it counts and looks does so anew in the next one', async () => {
  const here = await following({ head: 10 });
  const { socket, rust } = here;
  socket.say(lagged);
  await rejoin(socket, 12);
  socket.end();
  await here.clock.advance(500);
  const next = await greet(here);
  next.ok(next.take('subscribe'), snapshot('general', []));
  await counts(next, info('general'), info('rust', 12, 10));
  await rejoin(next, 12);
  assert.equal(rust.unread, 2);
  assert.ok(next.take('history'));
  next.end();
  await here.clock.advance(1000);
  await welcome(here, {
    channels: [info('general'), info('rust', 12, 10)],
    answers: { rust: snapshot('rust', [], { head: 12 }) },
    history: { rust: [message(11), message(12, { text: '@ann' })] },
  });
  assert.deepEqual([rust.unread, rust.mentions], [2, [12]]);
});

test('a server whose list is behind its channels is asked once for each subscription', async () => {
  const { socket } = await following({ head: 10 });
  for (let lag = 1; lag <= 3; lag++) {
    const before = count(socket, 'channels');
    socket.say(lagged);
    await answer(socket, {
      channels: [info('general'), info('rust', 10)],
      answers: { rust: snapshot('rust', [], { head: 20 + lag }) },
    });
    assert.equal(count(socket, 'channels'), before + 1);
  }
});

test('a list that is older than the one before takes nothing back', async () => {
  const here = await following({ head: 20, read: 10 });
  here.socket.end();
  await here.clock.advance(500);
  const socket = await welcome(here, {
    channels: [info('general'), info('rust', 15, 10)],
    answers: { rust: snapshot('rust', [], { head: 15 }) },
    history: { rust: run(1, 15) },
  });
  for (let seq = 16; seq <= 21; seq++) socket.say(inRust(seq));
  assert.equal(here.rust.unread, 11);
});

test('a channel that is opened while it is joined in the background is not looked at apart', async () => {
  const here = world();
  here.core.start();
  const socket = await greet(here);
  await counts(socket, info('rust', 3, 0));
  here.core.open('rust');
  await answer(socket, { answers: { rust: snapshot('rust', run(1, 3)) } });
  assert.equal(count(socket, 'history'), 0);
});

test('a channel that is opened while it is looked at has its mentions once', async () => {
  const { core, socket, rust } = await following({ head: 10 });
  const log = [message(11, { text: '@ann' }), message(12), message(13, { text: '@ann' })];
  socket.say(lagged);
  await rejoin(socket, 12);
  await counts(socket, info('general'), info('rust', 12, 10));
  const look = socket.take('history');
  core.open('rust');
  socket.ok(look, { messages: log.slice(0, 2), more: false });
  await answer(socket, { answers: { rust: snapshot('rust', log) }, channels: [info('rust', 13, 10)] });
  assert.deepEqual([rust.unread, rust.mentions], [3, [11, 13]]);
});

test('what is no longer kept is no mention', async () => {
  const here = await following({ head: 1, read: 0 });
  here.socket.say(inRust(2, { text: '@ann' }));
  assert.deepEqual(here.rust.mentions, [2]);
  here.socket.end();
  await here.clock.advance(500);
  await welcome(here, {
    channels: [info('general'), info('rust', 3, 0, 0)],
    answers: { rust: snapshot('rust', [], { head: 3 }) },
  });
  assert.deepEqual([here.rust.unread, here.rust.mentions], [0, []]);
});

test('it is told when a channel in the background begins anew with nothing in it', async () => {
  const here = await following({ head: 10, read: 9 });
  const { core, rust } = here;
  here.socket.end();
  await here.clock.advance(500);
  let told = null;
  core.on('channels', () => (told = rust.unread));
  await welcome(here, {
    channels: [info('general'), info('rust')],
    answers: { rust: snapshot('rust', [], { epoch: 'e2', head: 0 }) },
  });
  assert.equal(told, 0);
});

test('it is told when a channel that is kept catches up', async () => {
  const { core, socket } = await opened(2);
  let told = null;
  core.on('channels', () => (told = core.channel('general').unread));
  socket.say({ ...lagged, channel: 'general' });
  socket.ok(socket.take('subscribe'), {
    channel: 'general',
    epoch: 'e1',
    head: 3,
    reset: false,
    events: [event(3, { author: BOB })],
    members: [],
  });
  await settle();
  assert.equal(told, 1);
});

test('the list that is on its way is asked for once, where it counts what is joined meanwhile', async () => {
  const { socket, core } = await opened(3);
  assert.equal(count(socket, 'channels'), 1);
  assert.equal(core.channel('general').uncounted, false);
});

test('a channel that lags while older counts are on their way is counted after them', async () => {
  const here = await following({ head: 10 });
  here.socket.end();
  await here.clock.advance(500);
  const socket = await greet(here);
  socket.ok(socket.take('subscribe'), snapshot('general', []));
  await counts(socket, info('general'), info('rust', 10));
  await rejoin(socket, 11);
  const older = socket.take('channels');
  socket.say(lagged);
  await rejoin(socket, 20);
  socket.say(inRust(21));
  socket.ok(older, { channels: [info('rust', 11, 10)] });
  await settle();
  await answer(socket, { channels: [info('rust', 21, 10)], history: { rust: run(11, 21) } });
  assert.equal(here.rust.unread, 11);
});

test('the list of channels is read to its end, and asked on as the server says', async () => {
  const here = world();
  here.core.start();
  const socket = await greet(here);
  const page = async (fields, asked) => {
    const command = socket.take('channels');
    assert.equal(command.after, asked);
    socket.ok(command, fields);
    await settle();
  };
  await page({ channels: [info('a'), info('b')], more: true, after: 'b' }, undefined);
  assert.equal(here.core.listed, false);
  await page({ channels: [], more: true, after: '~7' }, 'b');
  await page({ channels: [info('z', 3, 1)], more: false }, '~7');
  assert.deepEqual(
    here.core.channels.map(({ name, unread }) => [name, unread]),
    [
      ['a', 0],
      ['b', 0],
      ['z', 2],
    ],
  );
  assert.equal(socket.take('channels'), null);
});
