import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mentionsName, splitMentions } from '../../chatcore-hyper/ui/mentions.js';

const NAMES = ['Ann', 'Ann Lindqvist', 'Bob', '李雷', 'a.b-c', 'Zoë'];
const mentioned = (text, names = NAMES) => splitMentions(text, names).filter(({ name }) => name).map(({ name }) => name);

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
  for (const text of ['me@Ann', 'x@bob.example', '@Annika', '@Ann_1', '@Bobé', '𝒜@Bob', '@Bob𝒜']) assert.deepEqual(mentioned(text), [], text);
  for (const text of ['(@Ann)', '@Ann.', '@Ann’s', '**@Ann**', '\n@Ann\n']) assert.deepEqual(mentioned(text), ['Ann'], text);
});

test('the parts put together are the text', () => {
  for (const text of ['', '@', '@Ann', 'a @Ann b @Bob', '@@Ann@', 'İ@Ann İ @Bob']) {
    assert.equal(splitMentions(text, NAMES).map((part) => part.text).join(''), text);
  }
  assert.deepEqual(splitMentions('hi', []), [{ text: 'hi', name: null }]);
});

test('an empty name is never mentioned', () => {
  assert.equal(mentionsName('@ @', ''), false);
});
