import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const UI = new URL('../../chatcore-hyper/ui/', import.meta.url);

test('no style gives a size of text that the browser’s font size has no part in', () => {
  const styles = readdirSync(UI, { recursive: true }).filter((name) => name.endsWith('.css'));
  assert.ok(styles.length > 10);
  const fixed = styles.flatMap((name) => {
    const rules = readFileSync(new URL(name, UI), 'utf8').match(/(?:font-size|line-height|font): [^;]*px[^;]*/gu) ?? [];
    return rules.map((rule) => `${name}: ${rule}`);
  });
  assert.deepEqual(fixed, []);
});
