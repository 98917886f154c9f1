import assert from 'node:assert/strict';
import { test } from 'node:test';
import { channelKey } from '../../chatcore-hyper/ui/text/channel-key.js';
import { asName } from '../../chatcore-hyper/ui/text/ranking.js';
import { settle } from './fakes.js';
import { answer, event, info, message, opened, snapshot, texts } from './world.js';

test('case, composition and spaces do not make another channel', () => {
  assert.equal(channelKey('  Rust  Beginners '), 'rust-beginners');
  assert.equal(channelKey('Cafe\u0301'), channelKey('CAFÉ'));
  assert.equal(channelKey('ΟΔΟΣ'), 'οδος');
  assert.equal(asName('#Rust Beginners'), 'rust-beginners');
});

test('a channel opened as Rust is rust: what is said there is shown', async () => {
  const { socket, core } = await opened(0);
  core.open('Rust');
  const subscribe = socket.take('subscribe');
  assert.equal(subscribe.channel, 'rust');
  socket.ok(subscribe, snapshot('rust', [message(1)]));
  await settle();
  const entry = core.send('RUST', { text: 'mine' });
  socket.ok(socket.take('publish'), { channel: 'rust', seq: 2 });
  socket.say({ ...event(2, { author: core.user, text: 'mine', nonce: entry.nonce }), channel: 'rust' });
  await settle();
  assert.deepEqual(texts(core, 'Rust'), ['m1', 'mine']);
  assert.deepEqual(core.outbox.of('rust'), []);
  assert.deepEqual(
    core.channels.map(({ name }) => name),
    ['general', 'rust'],
  );
});

test('where the server folds a name further, its spelling counts', async () => {
  const { socket, core } = await opened(0);
  const told = [];
  core.on('renamed', (change) => told.push(change));
  core.open('straße');
  core.send('straße', { text: 'early' });
  socket.ok(socket.take('subscribe'), snapshot('strasse', [message(1)]));
  await settle();
  await answer(socket, { answers: { strasse: snapshot('strasse', [message(1)]) } });
  assert.deepEqual(told, [{ name: 'straße', key: 'strasse' }]);
  assert.deepEqual(texts(core, 'Straße'), ['m1']);
  assert.deepEqual(
    core.outbox.of('strasse').map(({ text }) => text),
    ['early'],
  );
  assert.deepEqual(
    core.channels.map(({ name }) => name),
    ['general', 'strasse'],
  );
});

test('the names that the server spells otherwise are bounded', async () => {
  const { socket, core } = await opened(0);
  for (let at = 0; at <= 100; at += 1) {
    core.open(`ß${at}`);
    socket.ok(socket.take('subscribe'), snapshot(`ss${at}`, []));
    await settle();
    await answer(socket, { answers: { [`ss${at}`]: snapshot(`ss${at}`, []) } });
    core.leave(`ß${at}`);
  }
  assert.deepEqual(
    ['ß0', 'ß1', 'ß100'].map((name) => core.key(name)),
    ['ß0', 'ss1', 'ss100'],
  );
});

test('a channel that was missing is shown once somebody creates it', async () => {
  const { socket, core } = await opened(0);
  core.open('Nowhere');
  socket.error(socket.take('subscribe'), { code: 'no_such_channel' });
  await settle();
  assert.equal(core.whyMissing('nowhere').code, 'no_such_channel');
  socket.say({ type: 'channel_created', channel: info('nowhere') });
  await settle();
  await answer(socket, { answers: { nowhere: snapshot('nowhere', [message(1)]) } });
  assert.equal(core.isMissing('nowhere'), false);
  assert.deepEqual(texts(core, 'nowhere'), ['m1']);
});

test('of nine channels that are open at once, each keeps its messages', async () => {
  const { socket, core } = await opened(1);
  const names = Array.from({ length: 9 }, (_, at) => `c${at}`);
  const answers = Object.fromEntries(names.map((name) => [name, snapshot(name, [message(1)])]));
  for (const name of names) core.open(name);
  await answer(socket, { answers });
  assert.deepEqual(
    names.filter((name) => !core.channel(name).loaded),
    [],
  );
  assert.equal(core.channel('general').loaded, true);
  for (const name of [...names, 'general']) core.leave(name);
  const loaded = core.channels.filter((channel) => channel.loaded);
  assert.equal(loaded.length, 8);
});

test('a channel that two have open stays until both have left it', async () => {
  const { socket, core } = await opened(1);
  core.open('general');
  core.leave('general');
  const names = Array.from({ length: 8 }, (_, at) => `c${at}`);
  for (const name of names) core.open(name);
  await answer(socket, { answers: Object.fromEntries(names.map((name) => [name, snapshot(name, [])])) });
  assert.equal(core.channel('general').loaded, true);
  core.leave('general');
  assert.equal(core.channel('general').loaded, false);
});
