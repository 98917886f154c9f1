import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isImage, kind } from '../../chatcore-hyper/ui/views/attachment-view.js';

const file = (content_type, width, height) => ({ id: 'a', name: 'x', size: 1, content_type, width, height, url: '/x' });

test('a picture is shown up to fifty million pixels, and is a card beyond', () => {
  for (const type of ['image/png', 'image/jpeg', 'image/gif', 'image/webp']) {
    assert.ok(isImage(file(type, 10_000, 5_000)), type);
    assert.ok(!isImage(file(type, 10_000, 5_001)), type);
  }
});

test('a picture of which the server makes no preview is shown while it is small', () => {
  assert.ok(isImage(file('image/avif', 2_000, 2_000)));
  assert.ok(!isImage(file('image/avif', 2_001, 2_000)));
});

test('what no browser draws safely, or says no size, is a card', () => {
  for (const type of ['image/svg+xml', 'image/tiff', 'application/octet-stream', 'text/html', '', 'image/pngx'])
    assert.ok(!isImage(file(type, 10, 10)), type);
  for (const [width, height] of [
    [null, null],
    [10, null],
    [null, 10],
    [0, 10],
    [-10, -10],
  ])
    assert.ok(!isImage(file('image/png', width, height)));
});

test('a card names the kind of file by its ending, or by its type', () => {
  assert.equal(kind('plan.PDF', 'application/octet-stream'), 'PDF');
  assert.equal(kind('plan', 'image/png'), 'PNG');
});
