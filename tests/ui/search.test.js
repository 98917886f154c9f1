import assert from 'node:assert/strict';
import { test } from 'node:test';
import { highlight } from '../../chatcore-hyper/ui/text/highlight.js';
import { foundLine } from '../../chatcore-hyper/ui/text/search-result.js';
import { message, opened } from './world.js';

const bracketed = (parts) => parts.map((part) => (part.hit ? `[${part.text}]` : part.text)).join('');
const marked = (text, query) => bracketed(highlight(text, query));
const foundMarked = (text, query) => bracketed(foundLine(text, query));

test('words are marked wherever they stand, in any case', () => {
  assert.equal(marked('The Rust book, rusty', 'rust BOOK'), 'The [Rust] [book], [rust]y');
  assert.equal(marked('Καλημέρα', 'καλ'), '[Καλ]ημέρα');
});

test('words are marked in any composition and width, with or without accents', () => {
  assert.equal(marked('Zwei Cafe\u0301s, zwei Cafés', 'cafe'), 'Zwei [Cafe\u0301]s, zwei [Café]s');
  assert.equal(marked('ein cafe', 'CAFÉ'), 'ein [cafe]');
  assert.equal(marked('Hauptstraße ｗｉｄｅ', 'STRASSE wide'), 'Haupt[straße] [ｗｉｄｅ]');
  assert.equal(marked('ß', 's'), '[ß]');
  assert.equal(marked('Smørrebrød, ΟΔΌΣ', 'smorre οδοσ'), '[Smørre]brød, [ΟΔΌΣ]');
  assert.equal(marked('की', 'कि'), 'की');
  assert.equal(marked('Pass\u00adwort', 'passwort'), '[Pass\u00adwort]');
});

test('signs that mean something in a pattern are what they are', () => {
  assert.equal(marked('a.b a+b (a|b) [x] -/\\', 'a+b |b) [x] \\ -/'), 'a.b [a+b] (a[|b)] [[x]] [-/][\\]');
});

test('a long text is cut around the first hit, and pairs of surrogates stay whole', () => {
  const parts = highlight(`${'😀'.repeat(500)} needle ${'x'.repeat(500)}`, 'needle');
  const text = parts.map((part) => part.text).join('');
  assert.ok(text.startsWith('…😀') && text.endsWith('x…'));
  assert.ok([...text].length <= 302);
  assert.deepEqual(
    parts.filter(({ hit }) => hit).map((part) => part.text),
    ['needle'],
  );
});

test('a result is one line without signs, unless the word is only in what such a line leaves out', () => {
  assert.equal(
    foundMarked('Two **things**:\n- the `guide`\n> a ~~word~~\n```\nlet it = 1;\n```', 'guide it'),
    'Two things: • the [guide] a word let [it] = 1;',
  );
  assert.equal(foundMarked('<b>2 * 3</b> snake_case', '3'), '<b>2 * [3]</b> snake_case');
  assert.equal(foundMarked('see [the notes](https://example.org/needle)', 'notes'), 'see the [notes]');
  assert.equal(
    foundMarked('see [the notes](https://example.org/needle)', 'needle'),
    'see [the notes](https://example.org/[needle])',
  );
});

test('a search asks for the channel, and goes on where the answer says', async () => {
  const { core, socket } = await opened(0);
  const first = core.search('general', 'two words');
  const command = socket.take('search');
  assert.deepEqual(command, { type: 'search', id: command.id, channel: 'general', query: 'two words' });
  socket.ok(command, { messages: [message(7)], more: true, before: 5 });
  const { messages, more, before } = await first;
  assert.deepEqual([messages.map(({ seq }) => seq), more, before], [[7], true, 5]);
  const second = core.search('general', 'two words', before);
  assert.equal(socket.inbox[0].before, 5);
  socket.ok(socket.take('search'), { messages: [], more: false });
  assert.deepEqual(await second, { messages: [], more: false, before: null });
});

test('an answer that says more but not where does not lead round in circles', async () => {
  const { core, socket } = await opened(0);
  const found = core.search('general', 'x');
  socket.ok(socket.take('search'), { messages: 'none', more: true });
  assert.deepEqual(await found, { messages: [], more: false, before: null });
});
