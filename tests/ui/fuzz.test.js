import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from './fuzz.js';

test('any text is shown with bounded work and safe addresses', () => {
  const seed = Number(process.env.CHATCORE_SEED ?? Date.now()) >>> 0;
  assert.ok(fuzz(seed, (executions) => executions < 1_000) > 1_000);
});
