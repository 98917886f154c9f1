import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foldersOf } from '../../chatcore-hyper/ui/composer/drops.js';
import { isComposed } from '../../chatcore-hyper/ui/dom/field.js';
import { readAttachment } from '../../chatcore-hyper/ui/core/protocol.js';
import { actOf, turnSingleKeys } from '../../chatcore-hyper/ui/dom/shortcuts.js';
import { settle } from './fakes.js';
import { opened } from './world.js';

const press = (key, fields = {}) => ({
  key,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  shiftKey: false,
  target: { tagName: 'BODY' },
  ...fields,
});

test('the Enter that ends a composition is the input method’s, in each browser’s order', () => {
  // Chromium and Firefox: the key comes first, then the end of the composition. Safari: the end, then the key.
  assert.equal(isComposed({ isComposing: true, keyCode: 229 }), true);
  assert.equal(isComposed({ isComposing: false, keyCode: 229 }), true);
  assert.equal(isComposed({ isComposing: false, keyCode: 13 }), false);
  assert.equal(actOf(press('Escape', { keyCode: 229 })), undefined);
  assert.equal(actOf(press('Escape', { keyCode: 27 })), 'read');
});

test('shortcuts of a single sign can be turned off, all others stay', () => {
  try {
    assert.deepEqual([actOf(press('/')), actOf(press('?', { shiftKey: true }))], ['search', 'help']);
    turnSingleKeys(false);
    assert.deepEqual([actOf(press('/')), actOf(press('?', { shiftKey: true }))], [undefined, undefined]);
    assert.deepEqual(
      [actOf(press('k', { ctrlKey: true })), actOf(press('F6')), actOf(press('Escape'))],
      ['switch', 'paneAfter', 'read'],
    );
  } finally {
    turnSingleKeys(true);
  }
});

test('F6 leads on from wherever one is, also from the field', () => {
  const field = { tagName: 'TEXTAREA' };
  assert.equal(actOf(press('F6', { target: field })), 'paneAfter');
  assert.equal(actOf(press('F6', { target: field, shiftKey: true })), 'paneBefore');
  assert.equal(actOf(press('/', { target: field })), undefined);
});

test('a file’s name reads as what it is, whatever turns its letters', () => {
  const name = (text) => readAttachment({ id: 'a_1', name: text, url: '/a' }).name;
  assert.equal(name('photo\u202egpj.exe'), 'photo_gpj.exe');
  assert.equal(name('a\u2067b\u200fc\u061cd\ne'), 'a_b_c_d_e');
  assert.equal(name('צילום.png'), 'צילום.png');
});

test('a folder among dropped files is known as one', () => {
  const item = (name, isDirectory) => ({ kind: 'file', webkitGetAsEntry: () => ({ name, isDirectory }) });
  const items = [
    item('plants', true),
    item('leaf.png', false),
    { kind: 'string' },
    { kind: 'file', webkitGetAsEntry: () => null },
  ];
  assert.deepEqual(foldersOf({ items }), new Set(['plants']));
});

test('a dead connection is looked at as soon as an answer is missing', async () => {
  const { core, clock, socket, net } = await opened(0);
  core.send('general', { text: 'anybody?' });
  await clock.advance(4999);
  assert.equal(
    socket.sent.some(({ type }) => type === 'ping'),
    false,
  );
  await clock.advance(1);
  assert.equal(socket.sent.at(-1).type, 'ping');
  await clock.advance(10_000);
  assert.equal(socket.closed, true);
  await clock.advance(500);
  assert.equal(net.sockets.length, 2);
});

test('an answer in time asks for no sign of life', async () => {
  const { core, clock, socket } = await opened(0);
  core.send('general', { text: 'hello' });
  await clock.advance(4000);
  socket.ok(socket.take('publish'), { channel: 'general', seq: 1 });
  await settle();
  await clock.advance(5000);
  assert.equal(
    socket.sent.some(({ type }) => type === 'ping'),
    false,
  );
});
