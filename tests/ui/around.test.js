import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from './fakes.js';
import { BOB, event, info, message, snapshot, welcome, world } from './world.js';

const run = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => message(from + at));
const seqs = (segment) => segment.messages.map(({ seq }) => seq);

/** A client with the newest hundred of a thousand messages. */
async function longChannel() {
  const here = world();
  here.core.start();
  here.core.open('general');
  const socket = await welcome(here, {
    channels: [info('general', 1000)],
    answers: { general: snapshot('general', run(901, 1000)) },
  });
  return { ...here, socket, channel: here.core.channel('general') };
}

/** Answers the `history` that waits as the server does: the newest `limit` below `before`. */
async function page(socket, head = 1000) {
  const command = socket.take('history');
  const to = Math.min(head, command.before - 1);
  const from = Math.max(1, to - command.limit + 1);
  socket.ok(command, { messages: run(from, to), more: from > 1 });
  await settle();
  return command;
}

test('an old message is shown with those around it, apart from the newest', async () => {
  const { core, socket, channel } = await longChannel();
  const found = core.showAround('general', 400);
  await page(socket);
  assert.equal(await found, true);
  const [first, last] = [seqs(channel.shown)[0], seqs(channel.shown).at(-1)];
  assert.ok(first < 400 && last > 400);
  assert.equal(channel.shown, channel.past);
  assert.deepEqual(
    seqs(channel.live),
    run(901, 1000).map(({ seq }) => seq),
  );
  assert.equal(channel.message(400).text, 'm400');
  core.showLive('general');
  assert.equal(channel.shown, channel.live);
});

test('one that is here already is shown without asking', async () => {
  const { core, socket, channel } = await longChannel();
  assert.equal(await core.showAround('general', 950), true);
  assert.equal(socket.take('history'), null);
  assert.equal(channel.past, null);
});

test('a seq that is no message is not found, and nothing changes', async () => {
  const { core, socket, channel } = await longChannel();
  assert.equal(await core.showAround('general', 1001), false);
  assert.equal(socket.take('history'), null);
  const found = core.showAround('general', 400);
  const command = socket.take('history');
  socket.ok(command, { messages: run(350, 449).filter(({ seq }) => seq !== 400), more: true });
  assert.equal(await found, false);
  assert.equal(channel.past, null);
});

test('the past goes on in both directions, and joins the newest without a gap', async () => {
  const { core, socket, channel } = await longChannel();
  core.showAround('general', 700);
  await page(socket);
  const around = seqs(channel.past);
  core.loadOlder('general');
  await page(socket);
  assert.equal(seqs(channel.past)[0], around[0] - 100);
  while (channel.past) {
    core.loadNewer('general');
    await page(socket);
  }
  const all = seqs(channel.live);
  assert.deepEqual(
    all,
    run(all[0], 1000).map(({ seq }) => seq),
  );
  assert.equal(channel.live.more, true);
  assert.equal(all[0], around[0] - 100);
});

test('a hundred seqs without a message do not end the way to the newest', async () => {
  const { core, socket, channel } = await longChannel();
  core.showAround('general', 700);
  await page(socket);
  const { to } = channel.past;
  core.loadNewer('general');
  const command = socket.take('history');
  socket.ok(command, { messages: channel.past.messages.slice(), more: true });
  await settle();
  assert.equal(channel.past.to, command.before - 1);
  assert.ok(channel.past.to > to);
});

test('the past is edited, deleted and reacted to like the rest', async () => {
  const { core, socket, channel } = await longChannel();
  core.showAround('general', 400);
  await page(socket);
  socket.say({ type: 'edited', channel: 'general', seq: 1001, target: 400, text: 'new', by: BOB, at: 'T' });
  socket.say(event(1002));
  assert.equal(channel.message(400).text, 'new');
  assert.equal(seqs(channel.live).at(-1), 1002);
  assert.ok(seqs(channel.past).at(-1) < 901);
});

test('a page that comes after the reader has gone to the newest changes nothing', async () => {
  const { core, socket, channel } = await longChannel();
  core.showAround('general', 400);
  await page(socket);
  core.loadOlder('general');
  core.showLive('general');
  await page(socket);
  assert.deepEqual(
    seqs(channel.live),
    run(901, 1000).map(({ seq }) => seq),
  );
});

test('what is shown is bounded, and the newest stay apart when the reader has gone so far up', async () => {
  const here = world();
  here.core.start();
  here.core.open('general');
  const socket = await welcome(here, {
    channels: [info('general', 8000)],
    answers: { general: snapshot('general', run(7901, 8000)) },
  });
  const channel = here.core.channel('general');
  while (channel.shown.more) {
    here.core.loadOlder('general');
    await page(socket, 8000);
    assert.ok(channel.shown.messages.length <= 5000);
  }
  assert.equal(seqs(channel.shown)[0], 1);
  assert.deepEqual(
    seqs(channel.live),
    run(7901, 8000).map(({ seq }) => seq),
  );
  while (channel.past) {
    here.core.loadNewer('general');
    await page(socket, 8000);
    assert.ok(channel.shown.messages.length <= 5000);
  }
  const all = seqs(channel.live);
  assert.deepEqual(
    all,
    run(all[0], 8000).map(({ seq }) => seq),
  );
});

/** Answers like a server that has room for `most` messages in an answer, until the client asks no more. */
async function answerInParts(socket, most) {
  let asked = 0;
  for (let command; (command = socket.take('history')); asked += 1) {
    const to = Math.min(1000, command.before - 1);
    const from = Math.max(1, to - Math.min(command.limit, most) + 1);
    socket.ok(command, { messages: run(from, to), more: from > 1 });
    await settle();
  }
  return asked;
}

test('answers that the server ends early leave no gap in the past', async () => {
  const { core, socket, channel } = await longChannel();
  const found = core.showAround('general', 700);
  assert.equal(await answerInParts(socket, 7), 8, 'it asks until it has come down to the message');
  assert.equal(await found, true);
  const { to } = channel.past;
  core.loadNewer('general');
  assert.equal(await answerInParts(socket, 30), 4, 'it asks until it has come down to what is shown');
  assert.equal(channel.past.to, to + 100);
  core.loadOlder('general');
  assert.equal(await answerInParts(socket, 7), 1, 'what comes before may come later');
  while (channel.past) {
    core.loadNewer('general');
    await answerInParts(socket, 30);
  }
  const all = seqs(channel.live);
  assert.deepEqual(
    all,
    run(all[0], 1000).map(({ seq }) => seq),
  );
});
