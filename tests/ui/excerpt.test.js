import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Excerpt, STEP, WINDOW } from '../../chatcore-hyper/ui/timeline/excerpt.js';
import { Segment } from '../../chatcore-hyper/ui/core/segment.js';
import { message } from './world.js';

/** Messages of a channel; every other seq is something else's. */
const segment = (from, to) => new Segment(Array.from({ length: to - from + 1 }, (_, at) => message(2 * (from + at))));

/** Which messages are in the window: the first, the last, and how many. */
function shown(excerpt, messages, pinned = false) {
  const inside = excerpt.of(messages, pinned).map(({ seq }) => seq / 2);
  assert.deepEqual(
    inside,
    Array.from(inside, (_, at) => inside[0] + at),
  );
  return [inside[0], inside.at(-1), inside.length];
}

test('all is in the window up to its bound, and as many where there are more', () => {
  for (const pinned of [true, false]) {
    assert.deepEqual(shown(new Excerpt(), segment(1, WINDOW), pinned), [1, WINDOW, WINDOW]);
    assert.equal(shown(new Excerpt(), segment(1, WINDOW + 1), pinned)[2], WINDOW);
  }
  assert.deepEqual(new Excerpt().of(new Segment(), true), []);
});

test('pinned to the end it stays there, and the oldest give way', () => {
  const excerpt = new Excerpt();
  for (const newest of [WINDOW, WINDOW + 1, WINDOW + 7])
    assert.deepEqual(shown(excerpt, segment(1, newest), true), [newest - WINDOW + 1, newest, WINDOW]);
  assert.ok(excerpt.endless);
});

test('for a reader who looks at older ones what comes gives way', () => {
  const excerpt = new Excerpt();
  assert.deepEqual(shown(excerpt, segment(1, WINDOW)), [1, WINDOW, WINDOW]);
  assert.ok(excerpt.endless);
  assert.deepEqual(shown(excerpt, segment(1, WINDOW + 3)), [1, WINDOW, WINDOW]);
  assert.ok(!excerpt.endless);
  excerpt.reset();
  assert.deepEqual(shown(excerpt, segment(1, WINDOW + 3), true), [4, WINDOW + 3, WINDOW]);
});

test('older ones come a step at a time, up to the oldest, and those after are let in again', () => {
  const excerpt = new Excerpt();
  const all = segment(1, WINDOW + STEP + 5);
  assert.deepEqual(shown(excerpt, all, true), [STEP + 6, WINDOW + STEP + 5, WINDOW]);
  assert.equal(excerpt.older(all), true);
  assert.deepEqual(shown(excerpt, all), [6, WINDOW + 5, WINDOW]);
  assert.equal(excerpt.older(all), true);
  assert.deepEqual(shown(excerpt, all), [1, WINDOW, WINDOW]);
  assert.equal(excerpt.older(all), false);
  assert.deepEqual(shown(excerpt, all), [1, WINDOW, WINDOW]);
  excerpt.newer(all);
  assert.deepEqual(shown(excerpt, all), [STEP + 1, WINDOW + STEP, WINDOW]);
  assert.ok(!excerpt.endless);
  excerpt.newer(all);
  assert.deepEqual(shown(excerpt, all), [STEP + 6, WINDOW + STEP + 5, WINDOW]);
  assert.ok(excerpt.endless);
});

test('a page that is put in front is in the window where its beginning was', () => {
  const excerpt = new Excerpt();
  assert.deepEqual(shown(excerpt, segment(101, 300)), [101, 300, 200]);
  assert.equal(excerpt.older(segment(101, 300)), false);
  assert.deepEqual(shown(excerpt, segment(1, 300)), [1, 300, 300]);
});

test('a page that is put in front of a full window waits until it is let in', () => {
  const excerpt = new Excerpt();
  assert.deepEqual(shown(excerpt, segment(101, 101 + WINDOW)), [101, 100 + WINDOW, WINDOW]);
  const all = segment(1, 101 + WINDOW);
  assert.deepEqual(shown(excerpt, all), [101, 100 + WINDOW, WINDOW]);
  assert.equal(excerpt.older(all), true);
  assert.deepEqual(shown(excerpt, all), [1, WINDOW, WINDOW]);
});

test('around a message there are as many before as after, as far as there are', () => {
  const around = (seq, all) => {
    const excerpt = new Excerpt();
    excerpt.center(all, 2 * seq);
    return [...shown(excerpt, all), excerpt.endless];
  };
  const half = WINDOW / 2;
  const all = segment(1, 3 * WINDOW);
  assert.deepEqual(around(700, all), [701 - half, 699 + half, WINDOW - 1, false]);
  assert.deepEqual(around(1, all), [1, half, half, false]);
  assert.deepEqual(around(3 * WINDOW, all), [3 * WINDOW - half + 1, 3 * WINDOW, half, true]);
  assert.deepEqual(around(3 * WINDOW - half, all), [3 * WINDOW - 2 * half + 1, 3 * WINDOW - 1, WINDOW - 1, false]);
  assert.deepEqual(around(3 * WINDOW - half + 1, all), [3 * WINDOW - 2 * half + 2, 3 * WINDOW, WINDOW - 1, true]);
  assert.deepEqual(around(7, segment(1, 10)), [1, 10, 10, true]);
});

test('a log that begins anew is shown from its end, wherever the window was', () => {
  for (const anew of [segment(1, 100), segment(5001, 5100)]) {
    const excerpt = new Excerpt();
    excerpt.center(segment(1001, 2000), 2 * 1500);
    assert.deepEqual(shown(excerpt, anew), [anew.messages[0].seq / 2, anew.messages[0].seq / 2 + 99, 100]);
    assert.ok(excerpt.endless);
  }
});

test('on paper all that is loaded is in the document, and then the window again', () => {
  const excerpt = new Excerpt();
  const messages = segment(1, 3 * WINDOW);
  const before = shown(excerpt, messages, true);
  excerpt.whole = true;
  assert.deepEqual(shown(excerpt, messages, true), [1, 3 * WINDOW, 3 * WINDOW]);
  excerpt.whole = false;
  assert.deepEqual(shown(excerpt, messages, true), before);
});
