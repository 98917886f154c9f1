import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeShelf, settle } from './fakes.js';
import { ANN, event, info, opened, snapshot, texts, welcome, world } from './world.js';

const own = (seq, nonce, text) => event(seq, { author: ANN, nonce, text });
const states = (core) => core.outbox.of('general').map(({ text, state }) => `${text} ${state}`);

/** Acknowledges the publish that waits and sends its event. */
async function accept(socket, seq) {
  const command = socket.take('publish');
  socket.ok(command, { channel: 'general', seq, at: 'T', duplicate: false });
  socket.say(own(seq, command.nonce, command.text));
  await settle();
  return command;
}

test('a message is in the outbox at once and leaves it with its ack and its event', async () => {
  const { core, socket } = await opened(0);
  core.send('general', { text: 'hello' });
  assert.deepEqual(states(core), ['hello pending']);
  const command = socket.take('publish');
  assert.deepEqual(command, { type: 'publish', id: command.id, channel: 'general', nonce: 'n1', text: 'hello' });
  socket.ok(command, { channel: 'general', seq: 1, at: 'T', duplicate: false });
  await settle();
  assert.deepEqual(states(core), ['hello sent']);
  socket.say(own(1, 'n1', 'hello'));
  assert.deepEqual(states(core), []);
  assert.deepEqual(texts(core), ['hello']);
});

test('the event may come before the ack', async () => {
  const { core, socket } = await opened(0);
  core.send('general', { text: 'hello' });
  socket.say(own(1, 'n1', 'hello'));
  assert.deepEqual(states(core), []);
  socket.ok(socket.take('publish'), { channel: 'general', seq: 1, at: 'T', duplicate: false });
  await settle();
  assert.deepEqual(states(core), []);
  assert.deepEqual(texts(core), ['hello']);
});

test('messages of one channel go one at a time and in order', async () => {
  const { core, socket } = await opened(0);
  for (const text of ['one', 'two', 'three']) core.send('general', { text });
  assert.equal(socket.inbox.filter((frame) => frame.type === 'publish').length, 1);
  for (const [at, text] of ['one', 'two', 'three'].entries()) assert.equal((await accept(socket, at + 1)).text, text);
  assert.deepEqual(texts(core), ['one', 'two', 'three']);
});

test('what is written without a connection goes out in order after the reconnect', async () => {
  const here = await opened(0);
  here.socket.end();
  for (const text of ['one', 'two']) here.core.send('general', { text });
  await here.clock.advance(500);
  const socket = await welcome(here);
  assert.equal((await accept(socket, 1)).nonce, 'n1');
  assert.equal((await accept(socket, 2)).nonce, 'n2');
  assert.deepEqual(states(here.core), []);
});

test('ten seconds without an ack are a failure, and a retry keeps the nonce', async () => {
  const { core, clock, socket } = await opened(0);
  core.send('general', { text: 'hello' });
  const first = socket.take('publish');
  await clock.advance(9_999);
  assert.deepEqual(states(core), ['hello pending']);
  await clock.advance(1);
  assert.deepEqual(states(core), ['hello failed']);
  core.outbox.retry('n1');
  const second = socket.take('publish');
  assert.equal(second.nonce, first.nonce);
  socket.ok(second, { channel: 'general', seq: 1, at: 'T', duplicate: true });
  socket.say(own(1, 'n1', 'hello'));
  await settle();
  assert.deepEqual(states(core), []);
});

test('a lost ack is mended by the resume, with one copy', async () => {
  const here = await opened(0);
  here.core.send('general', { text: 'hello' });
  here.socket.take('publish');
  here.socket.end();
  await here.clock.advance(500);
  const resumed = {
    channel: 'general',
    epoch: 'e1',
    head: 1,
    reset: false,
    events: [own(1, 'n1', 'hello')],
    members: [],
  };
  const socket = await welcome(here, { channels: [info('general', 1, 1)], answers: { general: resumed } });
  const again = socket.take('publish');
  assert.equal(again.nonce, 'n1');
  socket.ok(again, { channel: 'general', seq: 1, at: 'T', duplicate: true });
  await settle();
  assert.deepEqual(texts(here.core), ['hello']);
  assert.deepEqual(states(here.core), []);
});

test('what timed out without a connection goes out by itself once there is one', async () => {
  const here = await opened(0, { random: () => 1 });
  here.socket.end();
  here.core.send('general', { text: 'hello' });
  await here.clock.advance(10_000);
  assert.deepEqual(states(here.core), ['hello failed']);
  here.core.connection.retryNow();
  const socket = await welcome(here);
  await accept(socket, 1);
  assert.deepEqual(states(here.core), []);
});

test('unsent messages survive a reload, under their nonces and in order', async () => {
  const before = await opened(0);
  before.socket.end();
  for (const text of ['one', 'two']) {
    before.core.send('general', { text });
    await before.clock.advance(1);
  }
  before.core.stop();
  const after = world({ shelf: before.shelf, clock: before.clock });
  after.core.start();
  after.core.open('general');
  await settle();
  assert.deepEqual(states(after.core), ['one pending', 'two pending']);
  const socket = await welcome(after);
  assert.equal((await accept(socket, 1)).nonce, 'n1');
  assert.equal((await accept(socket, 2)).nonce, 'n2');
  assert.equal(after.shelf.entries.size, 0);
});

test('a refusal for good is shown with its reason and does not hold up the next', async () => {
  const { core, socket } = await opened(0);
  core.send('general', { text: 'bad' });
  core.send('general', { text: 'good' });
  socket.error(socket.take('publish'), { code: 'not_allowed', message: 'no' });
  await settle();
  assert.deepEqual(states(core), ['bad failed', 'good pending']);
  assert.deepEqual(core.outbox.of('general')[0].error, { code: 'not_allowed', message: 'no' });
  assert.equal(socket.take('publish').text, 'good');
});

test('half a character goes out as one that every server can read', async () => {
  const { core, socket } = await opened(0);
  core.send('general', { text: 'a\ud83d \u{1f600} \ude00b' });
  assert.equal(socket.take('publish').text, 'a\ufffd \u{1f600} \ufffdb');
  core.connection.request('search', { channel: 'general', query: '\ud83d' });
  assert.equal(socket.take('search').query, '\ufffd');
});

test('an error without an id answers the oldest command', async () => {
  const { core, socket } = await opened(0);
  core.send('general', { text: 'bad' });
  core.send('general', { text: 'good' });
  socket.take('publish');
  socket.say({ type: 'error', id: null, code: 'bad_frame', message: 'no', retryable: false });
  await settle();
  assert.deepEqual(states(core), ['bad failed', 'good pending']);
  assert.deepEqual(core.outbox.of('general')[0].error, { code: 'bad_frame', message: 'no' });
  assert.equal(socket.take('publish').text, 'good');
});

test('what had no answer holds up nobody after a reconnect', async () => {
  const here = await opened(0);
  here.core.send('general', { text: 'mute' });
  await here.clock.advance(10_000);
  here.socket.end();
  here.core.send('general', { text: 'next' });
  await here.clock.advance(500);
  const socket = await welcome(here);
  assert.equal((await accept(socket, 1)).text, 'next');
  assert.equal((await accept(socket, 2)).text, 'mute');
});

test("what has no answer three times is its author's to send again", async () => {
  const here = await opened(0);
  here.core.send('general', { text: 'mute' });
  let { socket } = here;
  for (let times = 1; times < 3; times++) {
    assert.equal(socket.take('publish').nonce, 'n1');
    await here.clock.advance(10_000);
    assert.deepEqual(states(here.core), ['mute failed']);
    socket.end();
    await here.clock.advance(500);
    socket = await welcome(here);
  }
  assert.equal(socket.take('publish').nonce, 'n1');
  await here.clock.advance(10_000);
  const [{ error }] = here.core.outbox.of('general');
  assert.deepEqual(error, { code: 'unanswered', message: 'The server did not answer 3 times.' });
  socket.end();
  await here.clock.advance(500);
  socket = await welcome(here);
  assert.equal(socket.take('publish'), null);
  assert.equal((await reloaded(here)).take('publish'), null);
  here.core.outbox.retry('n1');
  await accept(socket, 1);
  assert.deepEqual(states(here.core), []);
});

/** Opens the same outbox in another page. */
async function reloaded(here) {
  const after = world({ shelf: here.shelf, clock: here.clock, tab: 'b' });
  after.core.start();
  after.core.open('general');
  return welcome(after);
}

test('a refusal for now is tried again after its pause, before the next', async () => {
  const { core, clock, socket } = await opened(0);
  core.send('general', { text: 'one' });
  core.send('general', { text: 'two' });
  socket.error(socket.take('publish'), { code: 'rate_limited', retryable: true, retry_ms: 800 });
  await clock.advance(799);
  assert.equal(socket.take('publish'), null);
  await clock.advance(1);
  assert.equal((await accept(socket, 1)).text, 'one');
  assert.equal((await accept(socket, 2)).text, 'two');
});

test('a pause of more than a minute is told to the author, who may try again', async () => {
  const minute = await opened(0);
  minute.core.send('general', { text: 'one' });
  minute.socket.error(minute.socket.take('publish'), { code: 'rate_limited', retryable: true, retry_ms: 60_000 });
  await settle();
  assert.deepEqual(states(minute.core), ['one pending']);
  const { core, socket } = await opened(0);
  core.send('general', { text: 'one' });
  socket.error(socket.take('publish'), { code: 'rate_limited', retryable: true, retry_ms: 3 * 3_600_000 });
  await settle();
  assert.deepEqual(states(core), ['one failed']);
  const [entry] = core.outbox.of('general');
  assert.equal(entry.error.message, 'That was a lot in a short time. Try again in 3 hours.');
  core.outbox.retry(entry.nonce);
  assert.equal((await accept(socket, 1)).text, 'one');
});

test('a pause that the server asked for is not taken for silence', async () => {
  const { core, clock, socket } = await opened(0);
  core.send('general', { text: 'one' });
  socket.error(socket.take('publish'), { code: 'unavailable', retryable: true, retry_ms: 15_000 });
  await clock.advance(15_000);
  assert.deepEqual(states(core), ['one pending']);
  assert.equal(socket.take('publish').nonce, 'n1');
});

for (const code of [1003, 1007, 1009]) {
  test(`the message on the wire at a close with ${code} is not repeated`, async () => {
    const here = await opened(0);
    here.core.send('general', { text: 'one' });
    here.core.send('general', { text: 'two' });
    here.socket.end(code);
    await here.clock.advance(500);
    const socket = await welcome(here);
    assert.deepEqual(states(here.core), ['one failed', 'two pending']);
    assert.equal(socket.take('publish').text, 'two');
  });
}

test('a deleted one is gone for good', async () => {
  const { core, clock, socket, shelf } = await opened(0);
  core.send('general', { text: 'hello' });
  socket.take('publish');
  await clock.advance(10_000);
  core.outbox.remove('n1');
  assert.deepEqual(states(core), []);
  assert.equal(shelf.entries.size, 0);
});

test('attachments go by their ids, and an acknowledged message in a channel not followed settles when it is opened', async () => {
  const here = await opened(0);
  const file = { id: 'a_1', name: 'plan.png', size: 1, content_type: 'image/png', width: 1, height: 1, url: '/u' };
  here.core.send('rust', { text: '', attachments: [file] });
  const command = here.socket.take('publish');
  assert.deepEqual(command.attachments, ['a_1']);
  here.socket.ok(command, { channel: 'rust', seq: 4, at: 'T', duplicate: false });
  await settle();
  assert.equal(here.core.outbox.of('rust')[0].state, 'sent');
  here.core.open('rust');
  const message = { ...own(4, 'n1', ''), attachments: [file] };
  here.socket.ok(here.socket.take('subscribe'), snapshot('rust', [message], { head: 4 }));
  await settle();
  assert.deepEqual(here.core.outbox.of('rust'), []);
});

test('the outbox is bounded', async () => {
  const { core, socket } = await opened(0);
  socket.end();
  for (let sent = 0; sent < 200; sent++) core.send('general', { text: String(sent) });
  assert.throws(() => core.send('general', { text: 'one more' }), { code: 'outbox_full' });
});

test('what was written before those of the last time were read back goes out after them', async () => {
  const before = await opened(0);
  before.socket.end();
  before.core.send('general', { text: 'old' });
  await settle();
  const after = world({ shelf: before.shelf, clock: before.clock, tab: 'b' });
  after.core.start();
  after.core.open('general');
  after.core.send('general', { text: 'new' });
  const socket = await welcome(after);
  assert.deepEqual(states(after.core), ['old pending', 'new pending']);
  assert.equal((await accept(socket, 1)).text, 'old');
  assert.equal((await accept(socket, 2)).text, 'new');
});

test('one whose ack was lost before a reload is not shown twice, and leaves the shelf', async () => {
  const before = await opened(0);
  before.core.send('general', { text: 'hello' });
  before.socket.take('publish');
  before.core.stop();
  const after = world({ shelf: before.shelf, clock: before.clock });
  after.core.start();
  after.core.open('general');
  const socket = await welcome(after, {
    channels: [info('general', 1, 1)],
    answers: { general: snapshot('general', [own(1, 'n1', 'hello')]) },
  });
  await settle();
  assert.deepEqual(states(after.core), []);
  assert.deepEqual(texts(after.core), ['hello']);
  const again = socket.take('publish');
  if (again) assert.equal(again.nonce, 'n1');
  assert.equal(after.shelf.entries.size, 0);
});

test('one that comes back from the shelf after the log has it is not sent', async () => {
  const shelf = new FakeShelf();
  const entry = {
    nonce: 'n1',
    channel: 'general',
    text: 'hello',
    attachments: [],
    reply_to: null,
    at: 1,
    state: 'pending',
    seq: null,
    error: null,
  };
  let release;
  const store = { ...shelf.open(), load: () => new Promise((resolve) => (release = () => resolve([entry]))) };
  shelf.open = () => store;
  const here = await opened(0, { shelf });
  here.socket.say(own(1, 'n1', 'hello'));
  release();
  await settle();
  assert.deepEqual(states(here.core), []);
  assert.equal(here.socket.take('publish'), null);
});

test('what one tab has deleted or sent, another one neither shows nor sends', async () => {
  const one = await opened(0);
  one.socket.end();
  for (const text of ['drop', 'keep']) one.core.send('general', { text });
  await settle();
  const two = await opened(0, { shelf: one.shelf, clock: one.clock, tab: 'b' });
  assert.deepEqual(states(two.core), ['drop pending', 'keep pending']);
  two.socket.end();
  one.core.outbox.remove('n1');
  assert.deepEqual(states(two.core), ['keep pending']);
  one.core.connection.retryNow();
  await accept(await welcome(one), 1);
  assert.deepEqual(states(two.core), []);
  assert.equal(one.shelf.entries.size, 0);
});

test('two tabs that send the same one make it one message', async () => {
  const one = await opened(0);
  one.socket.end();
  for (const text of ['a', 'b']) one.core.send('general', { text });
  await settle();
  const two = await opened(0, { shelf: one.shelf, clock: one.clock, tab: 'b' });
  one.core.connection.retryNow();
  const sockets = [await welcome(one), two.socket];
  const [first, second] = sockets.map((socket) => socket.take('publish'));
  assert.equal(first.nonce, second.nonce);
  sockets[0].ok(first, { channel: 'general', seq: 1, at: 'T', duplicate: false });
  for (const socket of sockets) socket.say(own(1, 'n1', 'a'));
  sockets[1].ok(second, { channel: 'general', seq: 1, at: 'T', duplicate: true });
  await settle();
  for (const { core } of [one, two]) assert.deepEqual([texts(core), states(core)], [['a'], ['b pending']]);
});

test('without a shelf messages go out all the same, and it is said once', async () => {
  const shelf = new FakeShelf();
  shelf.broken = true;
  const { core, socket } = await opened(0, { shelf });
  let told = 0;
  core.on('volatile', () => told++);
  for (const text of ['one', 'two']) core.send('general', { text });
  await settle();
  assert.equal(told, 1);
  assert.equal((await accept(socket, 1)).text, 'one');
  assert.equal((await accept(socket, 2)).text, 'two');
  assert.deepEqual(states(core), []);
});

test('a draft may go once its message is on the shelf, and without one, with its ack', async () => {
  for (const broken of [false, true]) {
    const shelf = new FakeShelf();
    shelf.broken = broken;
    const { core, socket } = await opened(0, { shelf });
    const kept = [];
    core.on('kept', ({ name }) => kept.push(name));
    core.send('general', { text: 'hello' });
    await settle();
    assert.deepEqual(kept, broken ? [] : ['general']);
    await accept(socket, 1);
    assert.ok(kept.includes('general'));
  }
});

test('signing out leaves nothing on the shelf', async () => {
  const { core, socket, shelf } = await opened(0);
  socket.end();
  core.send('general', { text: 'hello' });
  await settle();
  assert.equal(shelf.entries.size, 1);
  core.outbox.clear();
  await settle();
  assert.equal(shelf.entries.size, 0);
});
