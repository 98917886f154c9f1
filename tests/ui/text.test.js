import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initials } from '../../chatcore-hyper/ui/views/avatar.js';
import { fileSize, typingText, waitInWords } from '../../chatcore-hyper/ui/text/format.js';
import { MAX_NAMES, Names } from '../../chatcore-hyper/ui/core/people.js';
import { ChatError } from '../../chatcore-hyper/ui/core/protocol.js';
import { buildRows } from '../../chatcore-hyper/ui/timeline/rows.js';
import { ANN, BOB, message } from './world.js';

test('messages of one author within five minutes share a header', () => {
  const at = (minutes) => new Date(Date.UTC(2026, 0, 1, 12, minutes)).toISOString();
  const messages = [
    { ...message(1), at: at(0) },
    { ...message(2), at: at(4) },
    { ...message(3, { author: ANN }), at: at(5) },
    { ...message(4, { author: ANN }), at: at(11) },
  ];
  const rows = buildRows({
    messages,
    pending: [],
    user: ANN,
    dividerSeq: null,
    heads: new Set(),
    start: null,
    now: new Date(at(20)),
  });
  assert.deepEqual(
    rows.filter(({ kind }) => kind === 'message').map(({ first }) => first),
    [true, false, true, true],
  );
});

test('the divider stands above the first new message and begins a group', () => {
  const rows = buildRows({
    messages: [message(1), message(2), message(3)],
    pending: [],
    user: ANN,
    dividerSeq: 2,
    heads: new Set(),
    start: null,
    now: new Date(),
  });
  assert.deepEqual(
    rows.map(({ kind, first }) => (kind === 'message' ? `${kind} ${first}` : kind)),
    ['day', 'message true', 'new', 'message true', 'message false'],
  );
});

test('a pending message has the key that its event will have', () => {
  const entry = {
    nonce: 'n1',
    channel: 'general',
    text: 'hi',
    attachments: [],
    reply_to: null,
    at: Date.now(),
    state: 'pending',
    seq: null,
    error: null,
  };
  const options = { user: ANN, dividerSeq: null, heads: new Set(), start: null, now: new Date() };
  const pending = buildRows({ ...options, messages: [], pending: [entry] }).at(-1);
  const sent = buildRows({ ...options, messages: [message(1, { author: ANN, nonce: 'n1' })], pending: [] }).at(-1);
  assert.equal(pending.key, sent.key);
});

test('names, sizes and typing are written as people do', () => {
  assert.deepEqual(['Ann', 'ann van der Berg', '李雷', '🙂', ''].map(initials), ['A', 'AB', '李', '?', '?']);
  assert.deepEqual([0, 1023, 1024, 1536, 10_485_760].map(fileSize), ['0 B', '1023 B', '1 KB', '1.5 KB', '10 MB']);
  assert.deepEqual([[], ['Ann'], ['Ann', 'Bob'], ['Ann', 'Bob', 'Cleo']].map(typingText), [
    '',
    'Ann is typing…',
    'Ann and Bob are typing…',
    'Ann and 2 others are typing…',
  ]);
  assert.equal(BOB.name, 'Bob');
});

test("names are bounded, and the oldest give way but one's own", () => {
  const names = new Names();
  names.add(ANN);
  for (let at = 1; at < MAX_NAMES; at += 1) names.add({ id: `u${at}`, name: `n${at}` });
  const groups = ['channel', 'here'];
  assert.deepEqual([names.all.length, names.all.slice(0, 4)], [MAX_NAMES + 2, [...groups, 'Ann', 'n1']]);
  assert.equal(names.all, names.all);
  names.add(BOB);
  assert.deepEqual([names.all.length, names.all.slice(0, 4)], [MAX_NAMES + 2, [...groups, 'Ann', 'n2']]);
  assert.equal(names.all.at(-1), 'Bob');
});

test('somebody is known by the newest name, and a few former ones still mean them', () => {
  const names = new Names();
  names.meet(BOB);
  names.add({ ...BOB, name: 'Rob' });
  names.meet({ ...BOB, name: 'Bobby' });
  assert.equal(names.of(BOB).name, 'Rob');
  assert.deepEqual(
    ['Rob', 'Bob', 'Bobby'].map((name) => names.idOf(name)),
    [BOB.id, BOB.id, BOB.id],
  );
  for (let at = 0; at < 10; at += 1) names.meet({ ...BOB, name: `old${at}` });
  assert.equal(names.of(BOB).name, 'Rob');
  assert.ok(names.all.length < 10);
  assert.equal(names.idOf('nobody'), undefined);
});

test('a former name that somebody else has taken is theirs', () => {
  const names = new Names();
  names.add({ ...BOB, name: 'Rob' });
  names.meet({ ...BOB, name: 'Max' });
  names.add({ id: 'u_max', name: 'Max' });
  assert.equal(names.idOf('Max'), 'u_max');
});

test('whom a text mentions is told by ids, each once', () => {
  const names = new Names();
  names.add(ANN);
  names.add({ ...BOB, name: 'Rob' });
  names.meet(BOB);
  assert.deepEqual(names.mentionedIn('@Rob, @bob: ask @Ann or @here, not `@channel` or @nobody'), [
    BOB.id,
    ANN.id,
    '@here',
  ]);
  assert.deepEqual(names.mentionedIn('nobody'), []);
});

test('a wait is in words, rounded up', () => {
  const words = [0, 1, 1001, 119_000, 120_000, 121_000, 7_199_000, 7_200_001, NaN, undefined].map(waitInWords);
  assert.deepEqual(words, [
    '1 second',
    '1 second',
    '2 seconds',
    '119 seconds',
    '2 minutes',
    '3 minutes',
    '120 minutes',
    '3 hours',
    '1 second',
    '1 second',
  ]);
});

test('a limit says in words when to come back', () => {
  const limited = new ChatError({
    code: 'rate_limited',
    message: 'too many commands',
    retryable: true,
    retry_ms: 1500,
  });
  assert.equal(limited.message, 'That was a lot in a short time. Try again in 2 seconds.');
});
