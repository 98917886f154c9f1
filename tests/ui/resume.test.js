import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeded, settle } from './fakes.js';
import { answer, ANN, BOB, event, info, message, opened, snapshot, texts, welcome, world } from './world.js';

test('opening a channel asks for its newest hundred', async () => {
  const { socket, core } = await opened(3);
  assert.deepEqual(socket.protocols, ['chatcore.v1.lean', 'chatcore.v1']);
  const subscribe = socket.sent.find((frame) => frame.type === 'subscribe');
  assert.equal(subscribe.limit, 100);
  assert.equal('after' in subscribe, false);
  assert.deepEqual(texts(core), ['m1', 'm2', 'm3']);
});

test('a reconnect resumes after the last position and adds only what is new', async () => {
  const here = await opened(2);
  here.socket.say(event(3));
  here.socket.end();
  await here.clock.advance(500);
  const events = [event(4), { type: 'edited', channel: 'general', seq: 5, target: 1, text: 'new', by: BOB, at: 'T' }];
  const socket = await welcome(here, {
    channels: [info('general', 5, 5)],
    answers: { general: { channel: 'general', epoch: 'e1', head: 5, reset: false, events, members: [ANN] } },
  });
  assert.deepEqual(socket.sent.find((frame) => frame.type === 'subscribe').after, { epoch: 'e1', seq: 3 });
  assert.deepEqual(texts(here.core), ['new', 'm2', 'm3', 'm4']);
  assert.deepEqual(here.core.channel('general').position, { epoch: 'e1', seq: 5 });
});

test('an event of the log that is not known moves the position on', async () => {
  const here = await opened(2);
  here.socket.say({ type: 'pinned', channel: 'general', seq: 3, check: 'check-of-3', target: 1 });
  here.socket.say(event(4));
  await settle();
  assert.deepEqual(texts(here.core), ['m1', 'm2', 'm4']);
  assert.deepEqual(here.core.channel('general').position, { epoch: 'e1', seq: 4 });
  assert.equal(here.core.channel('general').unread, 1, 'it is no message');
  assert.equal(here.socket.sent.filter(({ type }) => type === 'subscribe').length, 1, 'nothing was missing');
  here.socket.say({ type: 'pinned', channel: 'general', target: 1 });
  await settle();
  assert.equal(here.core.channel('general').position.seq, 4, 'without a seq it is of no log');
});

test('an unknown event in a replay is one that was seen', async () => {
  const here = await opened(2);
  here.socket.end();
  await here.clock.advance(500);
  const events = [{ type: 'pinned', channel: 'general', seq: 3, target: 1 }, event(4)];
  const replay = { channel: 'general', epoch: 'e1', head: 4, reset: false, events, members: [ANN] };
  await welcome(here, { channels: [info('general', 4, 4)], answers: { general: replay } });
  assert.deepEqual(texts(here.core), ['m1', 'm2', 'm4']);
  assert.deepEqual(here.core.channel('general').position, { epoch: 'e1', seq: 4 });
});

test('a reset on a foreign epoch drops what was known of the channel', async () => {
  const here = await opened(9);
  here.socket.end();
  await here.clock.advance(500);
  await welcome(here, {
    channels: [info('general', 1, 0)],
    answers: { general: snapshot('general', [message(1, { text: 'another log' })], { epoch: 'e2' }) },
  });
  const channel = here.core.channel('general');
  assert.deepEqual(texts(here.core), ['another log']);
  assert.deepEqual(channel.position, { epoch: 'e2', seq: 1 });
  assert.equal(channel.unread, 1);
});

test('a resume sends the check of the last event that was seen', async () => {
  const here = await opened(2);
  here.socket.say({ ...event(3), check: 'check-of-3' });
  here.socket.end();
  await here.clock.advance(500);
  const events = [{ ...event(4), check: 'check-of-4' }];
  const replay = {
    channel: 'general',
    epoch: 'e1',
    head: 4,
    check: 'check-of-4',
    reset: false,
    events,
    members: [ANN],
  };
  const socket = await welcome(here, { channels: [info('general', 4, 4)], answers: { general: replay } });
  const { after } = socket.sent.find((frame) => frame.type === 'subscribe');
  assert.deepEqual(after, { epoch: 'e1', seq: 3, check: 'check-of-3' });
  assert.deepEqual(here.core.channel('general').position, { epoch: 'e1', seq: 4, check: 'check-of-4' });
  socket.say(event(5));
  assert.deepEqual(here.core.channel('general').position, { epoch: 'e1', seq: 5 }, 'a check belongs to its own event');
});

test('a log that was put back drops what was known of the channel', async () => {
  const here = await opened(9);
  here.socket.end();
  await here.clock.advance(500);
  await welcome(here, {
    channels: [info('general', 5, 3)],
    answers: { general: snapshot('general', [message(5, { text: 'after the restore' })]) },
  });
  const channel = here.core.channel('general');
  assert.deepEqual(texts(here.core), ['after the restore']);
  assert.equal(channel.read, 3);
});

test('an event that was seen before changes nothing', async () => {
  const { socket, core } = await opened(2);
  let told = 0;
  core.on('message', () => told++);
  socket.say(event(3));
  socket.say(event(3));
  socket.say(event(1));
  assert.deepEqual(texts(core), ['m1', 'm2', 'm3']);
  assert.equal(told, 1);
});

test('a gap is repaired from the last position', async () => {
  const { socket, core } = await opened(2);
  socket.say(event(5));
  socket.say(event(6));
  const commands = socket.inbox.filter((frame) => frame.type === 'subscribe');
  assert.equal(commands.length, 1);
  assert.deepEqual(commands[0].after, { epoch: 'e1', seq: 2 });
  assert.deepEqual(texts(core), ['m1', 'm2']);
  const events = [event(3), event(4), event(5), event(6)];
  socket.ok(socket.take('subscribe'), { channel: 'general', epoch: 'e1', head: 6, reset: false, events, members: [] });
  await settle();
  socket.say(event(7));
  assert.deepEqual(texts(core), ['m1', 'm2', 'm3', 'm4', 'm5', 'm6', 'm7']);
});

test('lagged subscribes again with the last position', async () => {
  const { socket, core } = await opened(2);
  socket.say({ type: 'lagged', channel: 'general', from: 3, to: 4 });
  const command = socket.take('subscribe');
  assert.deepEqual(command.after, { epoch: 'e1', seq: 2 });
  socket.ok(command, {
    channel: 'general',
    epoch: 'e1',
    head: 4,
    reset: false,
    events: [event(3), event(4)],
    members: [],
  });
  await settle();
  assert.deepEqual(texts(core), ['m1', 'm2', 'm3', 'm4']);
});

test('edits, deletes and reactions are folded into the message they mean', async () => {
  const { socket, core } = await opened(3);
  const by = BOB;
  socket.say({ type: 'edited', channel: 'general', seq: 4, target: 1, text: 'one', by, at: 'T1' });
  socket.say({ type: 'deleted', channel: 'general', seq: 5, target: 2, by, at: 'T2' });
  socket.say({ type: 'reaction', channel: 'general', seq: 6, target: 3, emoji: '👍', on: true, by, at: 'T3' });
  socket.say({ type: 'reaction', channel: 'general', seq: 7, target: 3, emoji: '👍', on: true, by: ANN.id, at: 'T4' });
  socket.say({ type: 'reaction', channel: 'general', seq: 8, target: 3, emoji: '👍', on: false, by, at: 'T5' });
  const [one, two, three] = core.channel('general').messages;
  assert.deepEqual([one.text, one.edited_at], ['one', 'T1']);
  assert.deepEqual([two.text, two.deleted], ['', true]);
  assert.deepEqual(three.reactions, [{ emoji: '👍', users: [ANN.id] }]);
});

test('older pages go before the oldest message, once however often they are asked for', async () => {
  const here = world();
  here.core.start();
  here.core.open('general');
  const newest = Array.from({ length: 100 }, (_, at) => message(at + 151));
  const socket = await welcome(here, {
    channels: [info('general', 250)],
    answers: { general: snapshot('general', newest) },
  });
  here.core.loadOlder('general');
  const page = here.core.loadOlder('general');
  assert.equal(socket.inbox.filter((frame) => frame.type === 'history').length, 1);
  const command = socket.take('history');
  assert.equal(command.before, 151);
  socket.ok(command, { messages: Array.from({ length: 100 }, (_, at) => message(at + 51)), more: true });
  await page;
  assert.equal(here.core.channel('general').messages[0].seq, 51);
  assert.equal(here.core.channel('general').messages.length, 200);
  assert.equal(here.core.channel('general').live.more, true);
});

test('whether older messages exist is asked for where a page does not begin with the first', async () => {
  const whole = await opened(3);
  assert.equal(whole.core.channel('general').live.more, false);
  const cut = world();
  cut.core.start();
  cut.core.open('general');
  const socket = await welcome(cut, { answers: { general: snapshot('general', [message(3), message(4)]) } });
  assert.equal(cut.core.channel('general').live.more, true);
  const page = cut.core.loadOlder('general');
  socket.ok(socket.take('history'), { messages: [], more: false });
  await page;
  assert.equal(cut.core.channel('general').live.more, false);
});

test('malformed frames, unknown fields and unknown event types are ignored', async () => {
  const { socket, core } = await opened(1);
  const nonsense = [
    'not json',
    '[]',
    'null',
    '{"type":7}',
    '{"type":"message"}',
    '{"type":"message","channel":"general","seq":"2"}',
    '{"type":"presence","channel":"general","user":5,"online":true}',
    '{"type":"typing","channel":"general","user":null}',
    '{"type":"read","channel":"general","seq":-1}',
    '{"type":"channel_created","channel":null}',
    '{"type":"something_new","channel":"general","weight":3}',
    '{"type":"ok","id":999}',
    '{"type":"error"}',
  ];
  for (const frame of nonsense) socket.say(frame);
  socket.say({ ...event(2), colour: 'green' });
  assert.deepEqual(texts(core), ['m1', 'm2']);
});

test('other channels are followed at the cost of what is unread, and one is read elsewhere', async () => {
  const here = world();
  here.core.start();
  const socket = await welcome(here, {
    channels: [info('art', 5, 5), info('rust', 5, 3, 2)],
    answers: { art: snapshot('art', [], { head: 5 }), rust: snapshot('rust', [], { head: 5 }) },
    history: { art: [], rust: [message(4), message(5)] },
  });
  const rust = here.core.channel('rust');
  const limits = socket.sent
    .filter((frame) => frame.type === 'subscribe')
    .map(({ channel, limit }) => [channel, limit]);
  assert.deepEqual(limits, [
    ['art', 0],
    ['rust', 0],
  ]);
  const looks = socket.sent
    .filter((frame) => frame.type === 'history')
    .map(({ channel, before, limit }) => [channel, before, limit]);
  assert.deepEqual(looks, [['rust', 6, 2]]);
  socket.say({ ...event(6), channel: 'rust' });
  socket.say({ ...event(7, { author: ANN }), channel: 'rust' });
  assert.equal(rust.unread, 3);
  assert.deepEqual(rust.messages, []);
  socket.say({ type: 'read', channel: 'rust', seq: 7 });
  assert.equal(rust.unread, 0);
});

test('what came between the list and the subscription is counted', async () => {
  const here = world();
  here.core.start();
  const socket = here.net.last;
  socket.say({ type: 'welcome', version: 1, user: ANN, limits: {} });
  await settle();
  socket.ok(socket.take('channels'), { channels: [info('rust', 5, 5, 0)] });
  await settle();
  socket.ok(socket.take('subscribe'), snapshot('rust', [], { head: 6 }));
  await settle();
  socket.ok(socket.take('channels'), { channels: [info('rust', 6, 5, 1)] });
  await settle();
  assert.equal(here.core.channel('rust').unread, 1);
});

test('a created channel joins the list and is followed', async () => {
  const { socket, core } = await opened(0);
  socket.say({ type: 'channel_created', channel: info('art') });
  assert.deepEqual(
    core.channels.map(({ name }) => name),
    ['art', 'general'],
  );
  assert.equal(socket.take('subscribe').channel, 'art');
});

test('at most two hundred channels are followed in the background', async () => {
  const here = world();
  here.core.start();
  const channels = Array.from({ length: 201 }, (_, at) => info(`c${String(at).padStart(3, '0')}`));
  const socket = await welcome(here, { channels });
  assert.equal(socket.sent.filter((frame) => frame.type === 'subscribe').length, 200);
});

test('reading is told twice a second at most, and again after a lost connection', async () => {
  const { socket, core, clock, net } = await opened(3);
  socket.say(event(4));
  core.markRead('general');
  socket.say(event(5));
  core.markRead('general');
  assert.equal(core.channel('general').unread, 0);
  await clock.advance(500);
  const told = socket.sent.filter((frame) => frame.type === 'read');
  assert.deepEqual(
    told.map(({ seq }) => seq),
    [5],
  );
  socket.end();
  await settle();
  await clock.advance(500);
  await welcome(
    { net },
    { channels: [info('general', 5, 3, 2)], answers: { general: snapshot('general', [message(5)], { head: 5 }) } },
  );
  assert.deepEqual(
    net.last.sent.filter((frame) => frame.type === 'read').map(({ seq }) => seq),
    [5],
  );
  assert.equal(core.channel('general').unread, 0);
});

test('of what was read and is lost with the connection the newest is told again', async () => {
  const here = await opened(3);
  for (const seq of [4, 5]) {
    here.socket.say(event(seq));
    here.core.markRead('general');
    await here.clock.advance(500);
  }
  here.socket.end();
  await here.clock.advance(500);
  const socket = await welcome(here, {
    channels: [info('general', 5, 3)],
    answers: { general: snapshot('general', [], { head: 5 }) },
  });
  assert.deepEqual(
    socket.sent.filter(({ type }) => type === 'read').map(({ seq }) => seq),
    [5],
  );
});

test('who was typing is not typing any more once the connection is gone, and that is told', async () => {
  const { core, socket } = await opened();
  socket.say({ type: 'typing', channel: 'general', user: BOB });
  await settle();
  const seen = [];
  core.on('people', ({ name }) => seen.push([name, core.channel(name).typing.size]));
  socket.end();
  await settle();
  assert.deepEqual(seen, [['general', 0]]);
});

test('typing is told every three seconds at most and believed for six', async () => {
  const { socket, core, clock } = await opened(0);
  core.typing('general');
  core.typing('general');
  await clock.advance(3000);
  core.typing('general');
  assert.equal(socket.sent.filter((frame) => frame.type === 'typing').length, 2);
  socket.say({ type: 'typing', channel: 'general', user: BOB });
  await clock.advance(5999);
  assert.equal(core.channel('general').typing.size, 1);
  await clock.advance(1);
  assert.equal(core.channel('general').typing.size, 0);
});

test('a channel that is not there is said to be missing', async () => {
  const { socket, core } = await opened(0);
  core.open('nowhere');
  socket.error(socket.take('subscribe'), { code: 'no_such_channel' });
  await settle();
  assert.equal(core.isMissing('nowhere'), true);
  assert.equal(core.channel('nowhere'), undefined);
});

test('nothing of a channel stays once the right to read it has ended', async () => {
  const { core, socket } = await opened();
  const told = [];
  core.on('removed', ({ name }) => told.push(name));
  socket.say({ type: 'channel_removed', channel: 'general', reason: 'removed' });
  socket.say({ type: 'presence', channel: 'general', user: BOB, online: true });
  await settle();
  assert.equal(core.channel('general'), undefined);
  assert.deepEqual(core.channels, []);
  assert.deepEqual([core.isMissing('general'), core.isTaken('general'), told], [true, true, ['general']]);
  socket.say({ type: 'channel_created', channel: info('general', 0) });
  await settle();
  assert.deepEqual([core.isMissing('general'), core.isTaken('general')], [false, false]);
});

test('a channel that may not be read after a reconnect is gone with its messages', async () => {
  const { core, socket, net, clock } = await opened(2);
  assert.equal(core.channel('general').messages.length, 2);
  socket.end();
  await clock.advance(500);
  net.last.say({ type: 'welcome', version: 1, user: ANN, limits: {} });
  net.last.error(net.last.take('subscribe'), { code: 'not_allowed' });
  await settle();
  assert.equal(core.channel('general'), undefined);
  assert.equal(core.isTaken('general'), true);
});

/** Whatever is cut, repeated or left out, the client ends with the server's log. */
async function survives(seed) {
  const random = seeded(seed);
  const here = await opened(0, { random });
  const log = [];
  const answers = (command) => {
    const after = command.after?.epoch === 'e1' ? command.after.seq : null;
    if (after === null)
      return snapshot('general', log.filter(({ type }) => type === 'message').slice(-100), { head: log.length });
    return { channel: 'general', epoch: 'e1', head: log.length, reset: false, events: log.slice(after), members: [] };
  };
  const serve = async () => {
    await settle();
    for (const command of here.net.last.inbox.splice(0)) {
      if (command.type === 'channels') here.net.last.ok(command, { channels: [info('general', log.length)] });
      if (command.type === 'subscribe') here.net.last.ok(command, answers(command));
    }
    await settle();
  };
  for (let step = 0; step < 60; step++) {
    const dice = random();
    log.push(event(log.length + 1));
    if (dice < 0.6) here.net.last.say(log.at(-1));
    else if (dice < 0.7) for (const frame of [log.at(-1), log.at(-1)]) here.net.last.say(frame);
    else if (dice < 0.8) here.net.last.say({ type: 'lagged', channel: 'general', from: 1, to: log.length });
    else if (dice < 0.9) {
      here.net.last.end();
      here.core.connection.retryNow();
      here.net.last.say({ type: 'welcome', version: 1, user: ANN, limits: {} });
    }
    await serve();
  }
  log.push(event(log.length + 1));
  here.net.last.say(log.at(-1));
  await serve();
  assert.deepEqual(
    texts(here.core),
    log.map(({ text }) => text),
  );
}

test('whatever is cut, repeated or left out, the log is whole', async () => {
  for (let round = 0; round < 20; round++) {
    const seed = Number(process.env.CHATCORE_SEED ?? Math.floor(Math.random() * 2 ** 32));
    try {
      await survives(seed);
    } catch (error) {
      error.message = `CHATCORE_SEED=${seed}: ${error.message}`;
      throw error;
    }
  }
});

test('a channel opened while its background subscription is under way is loaded after it', async () => {
  const here = world();
  here.core.start();
  const socket = here.net.last;
  socket.say({ type: 'welcome', version: 1, user: ANN, limits: {} });
  await settle();
  socket.ok(socket.take('channels'), { channels: [info('general', 1, 1)] });
  await settle();
  here.core.open('general');
  await answer(socket, { channels: [info('general', 1, 1)], answers: { general: snapshot('general', [message(1)]) } });
  assert.deepEqual(texts(here.core), ['m1']);
});
