import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadEmoji } from '../../chatcore-hyper/ui/text/emoji.js';
import { mentionsName, readText, splitMentions } from '../../chatcore-hyper/ui/text/mentions.js';

const NAMES = ['Ann', 'Ann Lindqvist', 'Bob', '李雷', 'a.b-c', 'Zoë'];
const mentioned = (text, names = NAMES) =>
  splitMentions(text, names)
    .filter(({ name }) => name)
    .map(({ name }) => name);

test('a mention is a known name after an @, whatever its case', () => {
  assert.deepEqual(mentioned('@Ann, ask @bob or @李雷 (@ZOË)! @a.b-c?'), ['Ann', 'Bob', '李雷', 'Zoë', 'a.b-c']);
  assert.deepEqual(mentioned('Ann @nobody @ Ann @'), []);
});

test('of several names that fit, the longest is meant', () => {
  assert.deepEqual(mentioned('@Ann Lindqvist and @ann lindström'), ['Ann Lindqvist', 'Ann']);
  assert.equal(mentionsName('@Ann Lindqvist', 'Ann', NAMES), false);
  assert.equal(mentionsName('@Ann Lindqvist', 'Ann'), true);
  assert.equal(mentionsName('@Ann Lindqvist', 'ann lindqvist'), true);
});

test('a part of a word or of an address is no mention', () => {
  for (const text of ['me@Ann', 'x@bob.example', '@Annika', '@Ann_1', '@Bobé', '𝒜@Bob', '@Bob𝒜'])
    assert.deepEqual(mentioned(text), [], text);
  for (const text of ['(@Ann)', '@Ann.', '@Ann’s', '**@Ann**', '\n@Ann\n'])
    assert.deepEqual(mentioned(text), ['Ann'], text);
});

test('an @ in an address, a path or a formula is no mention', () => {
  const texts = [
    'medium.com/@Ann',
    'https://medium.com/@Ann/x',
    '~/src/@Ann',
    '?user=@Ann',
    'a&@Ann',
    '@@Ann',
    'a+@Ann',
    '@Ann@chat.test',
    '@ann.dev',
    '@ann/pkg',
    '@Ann-Marie',
    'x#@Ann',
    '@types/@ann/x',
  ];
  for (const text of texts) assert.equal(mentionsName(text, 'Ann', NAMES), false, text);
});

test('one mention may follow another without a space', () => {
  assert.deepEqual(mentioned('@Ann/@Bob, @Zoë&@Ann'), ['Ann', 'Bob', 'Zoë', 'Ann']);
  assert.deepEqual(mentioned('cc:@Ann .@Bob -@Ann'), ['Ann', 'Bob', 'Ann']);
});

test('a mention stands without spaces in writing that has none', () => {
  assert.deepEqual(mentioned('请@李雷看一下，@Bob也看'), ['李雷', 'Bob']);
});

test('a name is found in each of its spellings', () => {
  assert.deepEqual(mentioned('@Zoe\u0308 @ZOE\u0308, @STRASSE', [...NAMES, 'Straße']), ['Zoë', 'Zoë', 'Straße']);
});

test('code and addresses mention nobody', () => {
  for (const text of [
    '`@Ann`',
    '```\n@Ann\n```',
    '- x\n  ```\n  @Ann\n  ```',
    'https://a.test/?to=@Ann',
    'mailto:x@a.test?cc=@Ann',
    '[x](https://a.test/@Ann)',
  ]) {
    assert.equal(mentionsName(text, 'Ann'), false, text);
  }
  for (const text of ['> @Ann', '- @Ann', '**@Ann**', '`x` @Ann', '[@Ann](https://a.test)'])
    assert.equal(mentionsName(text, 'Ann'), true, text);
});

test('what is shown as a mention is what is counted', async () => {
  await loadEmoji(() => Promise.resolve({ names: ['Objects'], codes: 'key', signs: '🔑' }));
  const shown = (text) => {
    const walk = (nodes) =>
      nodes.flatMap((node) =>
        node.type === 'mention' ? [node.name] : walk(node.children ?? node.items?.flat() ?? []),
      );
    return walk(readText(text, NAMES)).includes('Ann');
  };
  const texts = [
    '@ann',
    '**@Ann** `@Ann`',
    '`@Ann`',
    'x.test/@Ann',
    '1. a\n    - @Ann',
    '@Ann Lindqvist',
    '```\n@Ann\n```\n@Ann',
    '@ANN!',
  ];
  for (const text of texts) assert.equal(mentionsName(text, 'Ann', NAMES), shown(text), text);
  assert.deepEqual(
    readText(':key: `:key:` https://a.test/:key:/ crate::key::Key', [])[0].children.filter(
      (node) => typeof node === 'string',
    ),
    ['🔑 ', ' ', ' crate::key::Key'],
  );
});

test('the parts put together are the text', () => {
  for (const text of ['', '@', '@Ann', 'a @Ann b @Bob', '@@Ann@', 'İ@Ann İ @Bob']) {
    assert.equal(
      splitMentions(text, NAMES)
        .map((part) => part.text)
        .join(''),
      text,
    );
  }
  assert.deepEqual(splitMentions('hi', []), [{ text: 'hi', name: null }]);
});

test('names are gone through once for many texts', () => {
  let looks = 0;
  const names = Object.assign([...NAMES], {
    filter(...given) {
      looks += 1;
      return Array.prototype.filter.apply(this, given);
    },
  });
  for (let at = 0; at < 100; at += 1) assert.equal(mentionsName(`@Ann ${at}`, 'Ann', names), true);
  assert.equal(looks, 1);
});

test('an empty name is never mentioned', () => {
  assert.equal(mentionsName('@ @', ''), false);
});
