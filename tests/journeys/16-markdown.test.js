import assert from 'node:assert/strict';
import { journey } from './journey.js';

journey('what is written with signs is shown as meant, and code can be copied', async ({ browser }) => {
  const ann = await browser.joined('Ann', { permissions: ['clipboard-read', 'clipboard-write'] });
  await ann.say('**bold** *slanted* ~~gone~~ `code` snake_case @Ann');
  const first = ann.messages.nth(0).locator('.text');
  await first.locator('strong').waitFor();
  assert.deepEqual(await first.locator('strong, em, del, code, .mention').allTextContents(), [
    'bold',
    'slanted',
    'gone',
    'code',
    '@Ann',
  ]);
  assert.equal(await first.textContent(), 'bold slanted gone code snake_case @Ann');
  assert.equal(await first.locator('.mention.own').count(), 1);

  await ann.say('Look:\n```\nlet a = 1;\n  **b**\n```\n> quoted\n1. one\n2. two');
  const second = ann.messages.nth(1).locator('.text');
  await second.locator('pre').waitFor();
  assert.deepEqual(await second.locator('blockquote, li').allTextContents(), ['quoted', 'one', 'two']);
  await second.getByRole('button', { name: 'Copy the code' }).click();
  await second.getByRole('button', { name: 'Copied' }).waitFor();
  assert.equal(await ann.page.evaluate(() => navigator.clipboard.readText()), 'let a = 1;\n  **b**');

  await ann.say('😀 👍🏽');
  await ann.messages.nth(2).locator('.jumbo').waitFor();
});
