import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UNDO_MS } from '../../chatcore-hyper/ui/core/changes.js';
import { FakeClock, FakeStorage, settle } from './fakes.js';
import { answer, event, opened, texts } from './world.js';

const refusal = { code: 'not_allowed', message: 'Only its author may.' };

function troubles(core) {
  const told = [];
  core.on('trouble', ({ text }) => told.push(text));
  return told;
}

const first = (core) => core.channel('general').messages[0];

test('an edit is shown at once, and stays when it is taken', async () => {
  const { core, socket } = await opened(1);
  const done = core.changes.edit('general', 1, 'better');
  assert.equal(first(core).text, 'better');
  socket.ok(socket.take('edit'), { seq: 2 });
  assert.equal(await done, true);
  socket.say({
    type: 'edited',
    channel: 'general',
    seq: 2,
    target: 1,
    text: 'better',
    by: 'u_bob',
    at: '2026-01-01T00:00:09.000Z',
  });
  assert.equal(first(core).edited_at, '2026-01-01T00:00:09.000Z');
});

test('an edit that is refused is taken back, with the reason', async () => {
  const { core, socket } = await opened(1);
  const told = troubles(core);
  const done = core.changes.edit('general', 1, 'better');
  socket.error(socket.take('edit'), refusal);
  assert.equal(await done, false);
  assert.deepEqual([first(core).text, first(core).edited_at], ['m1', null]);
  assert.deepEqual(told, ['Not edited: Only its author may.']);
});

test('an edit that says nothing new is not sent', async () => {
  const { core, socket } = await opened(1);
  assert.equal(await core.changes.edit('general', 1, 'm1'), true);
  assert.equal(socket.take('edit'), null);
});

test('taking an edit back leaves what came meanwhile', async () => {
  const { core, socket } = await opened(1);
  const done = core.changes.edit('general', 1, 'better');
  socket.say({
    type: 'edited',
    channel: 'general',
    seq: 2,
    target: 1,
    text: 'best',
    by: 'u_bob',
    at: '2026-01-01T00:00:09.000Z',
  });
  socket.error(socket.take('edit'), refusal);
  await done;
  assert.equal(first(core).text, 'best');
});

test('a reaction is shown at once, and taken back when it is refused or the connection is lost', async () => {
  const { core, socket } = await opened(1);
  const told = troubles(core);
  for (const fail of [(command) => socket.error(command, refusal), () => socket.end()]) {
    const done = core.changes.react('general', 1, '👍', true);
    assert.deepEqual(first(core).reactions, [{ emoji: '👍', users: ['u_ann'] }]);
    fail(socket.take('react'));
    await done;
    assert.deepEqual(first(core).reactions, []);
  }
  assert.deepEqual(told, ['No reaction: Only its author may.', 'No reaction: there is no connection.']);
});

test('a deletion waits, and can be undone while it does', async () => {
  const { core, socket, clock } = await opened(1);
  core.changes.remove('general', 1);
  assert.equal(core.changes.isLeaving('general', 1), true);
  await clock.advance(UNDO_MS - 1);
  assert.equal(socket.take('delete'), null);
  assert.equal(core.changes.undo('general', 1), true);
  assert.equal(core.changes.isLeaving('general', 1), false);
  await clock.advance(UNDO_MS);
  assert.equal(socket.take('delete'), null);
});

test('a deletion is sent once its time is up, and what it leaves is a tombstone', async () => {
  const { core, socket, clock } = await opened(1);
  core.changes.remove('general', 1);
  core.changes.remove('general', 1);
  await clock.advance(UNDO_MS);
  const command = socket.take('delete');
  assert.deepEqual([command.channel, command.seq, socket.take('delete')], ['general', 1, null]);
  assert.equal(core.changes.undo('general', 1), false);
  socket.ok(command, { seq: 2 });
  await settle();
  assert.deepEqual([first(core).deleted, texts(core), core.changes.isLeaving('general', 1)], [true, [''], false]);
});

test('a deletion that is refused brings the message back, with the reason', async () => {
  const { core, socket, clock } = await opened(1);
  const told = troubles(core);
  core.changes.remove('general', 1);
  await clock.advance(UNDO_MS);
  socket.error(socket.take('delete'), refusal);
  await settle();
  assert.deepEqual([first(core).text, core.changes.isLeaving('general', 1)], ['m1', false]);
  assert.deepEqual(told, ['Not deleted: Only its author may.']);
});

test('a deletion without a connection is sent with the next', async () => {
  const here = await opened(1);
  const { core, clock, net } = here;
  core.changes.remove('general', 1);
  here.socket.end();
  await clock.advance(UNDO_MS);
  assert.equal(core.changes.isLeaving('general', 1), true);
  const socket = net.last;
  socket.say({ type: 'welcome', version: 1, user: core.user, limits: {} });
  await answer(socket, {
    answers: { general: { channel: 'general', epoch: 'e1', head: 1, reset: false, events: [], members: [] } },
  });
  assert.equal(socket.take('delete').seq, 1);
});

test('who leaves sends the deletions that wait', async () => {
  const { core, socket } = await opened(2);
  core.changes.remove('general', 1);
  core.changes.remove('general', 2);
  core.changes.flush();
  assert.deepEqual([socket.take('delete').seq, socket.take('delete').seq], [1, 2]);
  socket.say(event(3));
  assert.equal(texts(core).length, 3);
});

test('a deletion that did not get out before its author went is sent by the next page, and by none after it', async () => {
  const storage = new FakeStorage();
  const before = await opened(1, { storage });
  before.core.changes.remove('general', 1);
  before.core.changes.flush();
  const next = await opened(1, { storage });
  assert.equal(next.core.changes.isLeaving('general', 1), true);
  await next.clock.advance(0);
  next.socket.ok(next.socket.take('delete'), { seq: 2 });
  await settle();
  assert.deepEqual([first(next.core).deleted, storage.length], [true, 0]);
  const last = await opened(1, { storage });
  await last.clock.advance(UNDO_MS);
  assert.equal(last.socket.take('delete'), null);
});

test('a page that is opened while a deletion waits lets its author take it back', async () => {
  const here = { storage: new FakeStorage(), clock: new FakeClock() };
  const one = await opened(1, here);
  one.core.changes.remove('general', 1);
  await here.clock.advance(UNDO_MS / 2);
  const two = await opened(1, here);
  assert.equal(two.core.changes.isLeaving('general', 1), true);
  one.core.changes.undo('general', 1);
  await here.clock.advance(UNDO_MS);
  assert.equal(two.core.changes.isLeaving('general', 1), false);
  assert.deepEqual([one.socket.take('delete'), two.socket.take('delete')], [null, null]);
});

test('of two pages that send one deletion, the slower one says nothing of the refusal', async () => {
  const here = { storage: new FakeStorage(), clock: new FakeClock() };
  const one = await opened(1, here);
  one.core.changes.remove('general', 1);
  const two = await opened(1, here);
  const told = troubles(two.core);
  await here.clock.advance(UNDO_MS);
  one.socket.ok(one.socket.take('delete'), { seq: 2 });
  two.socket.error(two.socket.take('delete'), { code: 'no_such_message', message: 'There is no such message.' });
  await settle();
  assert.deepEqual([told, two.core.changes.isLeaving('general', 1), here.storage.length], [[], false, 0]);
});

test('what the storage has that is no deletion is passed over, and a storage that takes nothing is none', async () => {
  for (const kept of ['', 'nonsense', '{}', '[{"name":"general"},{"name":1,"seq":1,"due":0},null]']) {
    const storage = new FakeStorage();
    storage.setItem('chatcore.deletions.u_ann', kept);
    const { socket, clock } = await opened(1, { storage });
    await clock.advance(UNDO_MS);
    assert.equal(socket.take('delete'), null);
  }
  const storage = Object.assign(new FakeStorage(), {
    setItem() {
      throw new Error('full');
    },
  });
  const { core, socket, clock } = await opened(1, { storage });
  core.changes.remove('general', 1);
  await clock.advance(UNDO_MS);
  assert.equal(socket.take('delete').seq, 1);
});

test('what one page takes back no other sends: not when it goes, nor when its connection is back, whichever has begun it', async () => {
  for (const undone of [0, 1]) {
    const here = { storage: new FakeStorage(), clock: new FakeClock() };
    const pages = [await opened(1, here)];
    pages[0].core.changes.remove('general', 1);
    pages.push(await opened(1, here));
    const other = pages[1 - undone];
    pages[undone].core.changes.undo('general', 1);
    other.core.changes.flush();
    other.core.changes.connected();
    await here.clock.advance(UNDO_MS);
    assert.equal(other.core.changes.isLeaving('general', 1), false);
    assert.deepEqual([pages[0].socket.take('delete'), pages[1].socket.take('delete')], [null, null]);
  }
});

test('a hundred deletions are kept; further ones are sent all the same', async () => {
  const storage = new FakeStorage();
  const { core, socket, clock } = await opened(101, { storage });
  for (let seq = 1; seq <= 101; seq++) core.changes.remove('general', seq);
  assert.equal(JSON.parse(storage.getItem('chatcore.deletions.u_ann')).length, 100);
  await clock.advance(UNDO_MS);
  assert.equal(socket.sent.filter(({ type }) => type === 'delete').length, 101);
});
