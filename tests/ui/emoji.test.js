import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  findEmoji,
  isOnlyEmoji,
  loadEmoji,
  readNames,
  wantsEmoji,
  withEmoji,
} from '../../chatcore-hyper/ui/text/emoji.js';

const FILE = {
  names: ['Smileys', 'People', 'Objects'],
  codes: 'grinning.smile,happy.+1,thumbsup.-1,thumbs down.100.cat.smile cat',
  signs: '😀 😄|👍 👎|💯 🐱 😸',
};

test('codes become emoji once the names are there, and only those that are known', async () => {
  const text = ':smile: x:smile: :nope: at 10:100:45 :+1::100: smile:';
  assert.equal(wantsEmoji(text), true);
  assert.equal(wantsEmoji('at 10:30:45, a:b:c'), false);
  assert.equal(withEmoji(text), text);
  await assert.rejects(loadEmoji(() => Promise.reject(new Error('away'))));
  await loadEmoji(() => Promise.resolve(FILE));
  assert.equal(wantsEmoji(text), false);
  assert.equal(withEmoji(text), '😄 x:smile: :nope: at 10:100:45 👍💯 smile:');
});

test('a code within a word, a path or a time is left alone', async () => {
  await loadEmoji(() => Promise.resolve(FILE));
  for (const text of [
    'crate::cat::Key',
    'std::cat:',
    '::100::',
    'a:cat:b',
    'cat:cat:cat',
    ':cat:x',
    'é:cat:',
    ':cat:é',
    'fe80:100:1',
    '/api/:cat:/x',
    'http://h:100:',
    '_:cat:',
    'C:cat:',
  ]) {
    assert.equal(withEmoji(text), text, text);
  }
});

test('a code stands without spaces in writing that has none', async () => {
  await loadEmoji(() => Promise.resolve(FILE));
  assert.equal(withEmoji('猫:cat:です (:cat:), :cat:!:cat:'), '猫🐱です (🐱), 🐱!🐱');
});

test('a search finds the code itself first, then those that begin so, then those that hold it', () => {
  const names = readNames(FILE);
  assert.deepEqual(
    findEmoji(names, 'cat', 9).map(({ sign }) => sign),
    ['🐱', '😸'],
  );
  assert.deepEqual(
    findEmoji(names, 'Thumbs', 9).map(({ code }) => code),
    ['thumbsup', 'thumbs_down'],
  );
  assert.deepEqual(
    findEmoji(names, 'thumbs down', 9).map(({ sign }) => sign),
    ['👎'],
  );
  assert.equal(findEmoji(names, '', 3).length, 3);
});

test('only a few emoji alone are large', () => {
  for (const text of ['😀', '👨‍👩‍👧‍👦 🇫🇷\n❤️', '😀'.repeat(10), '❤']) assert.equal(isOnlyEmoji(text), true, text);
  for (const text of ['🏳️‍🌈', '🏴󠁧󠁢󠁷󠁬󠁳󠁿', '👍🏽', '1️⃣ *️⃣', '👩🏽‍❤️‍💋‍👨🏿', '🏽', '👨‍👩‍👧‍👦'.repeat(10)])
    assert.equal(isOnlyEmoji(text), true, text);
  for (const text of ['🇫', '😀\u{200D}', '\u{200D}😀', '1\uFE0F', '😀\u{E0067}', '\uFE0F'])
    assert.equal(isOnlyEmoji(text), false, text);
  for (const text of ['', 'a', '😀 a', '1', '#', '😀'.repeat(11), ' '.repeat(9), '😀'.repeat(4000)])
    assert.equal(isOnlyEmoji(text), false, text);
});

test('of single characters those are emoji that Unicode calls so', () => {
  const emoji = /^(?:\p{RGI_Emoji}|\p{Extended_Pictographic})$/v;
  const differ = [];
  for (let code = 0; code <= 0x10ffff; code += 1) {
    const sign = String.fromCodePoint(code);
    if (isOnlyEmoji(sign) !== emoji.test(sign)) differ.push(code.toString(16));
  }
  assert.deepEqual(differ, []);
});
