import assert from 'node:assert/strict';
import { serveEmoji } from './emoji.js';
import { journey } from './journey.js';

journey('what is shown as a mention is counted, and nothing else', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const bob = await browser.person();
  await serveEmoji(bob);
  await bob.join('Bob');
  await bob.createChannel('b');
  const plain = [
    'medium.com/@Bob',
    'in code: `@Bob`',
    '```\n@Bob\n```',
    'https://a.test/@Bob',
    'bob@Bob',
    'crate::cat::Key',
  ];
  for (const text of plain) await ann.say(text);
  await ann.isSent();
  await bob.page.getByRole('link', { name: `general ${plain.length} unread`, exact: true }).waitFor();
  await ann.say('请@Bob看');
  await bob.page.getByRole('link', { name: `general ${plain.length + 1} unread, 1 mention`, exact: true }).waitFor();
  await bob.open('general');
  assert.deepEqual(await bob.page.locator('.mention').allTextContents(), ['@Bob']);
  await bob.sees('crate::cat::Key');
});

journey('code and addresses keep their direction within Arabic', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.say('استخدم `--force` مع https://a.test/x/ و @Ann');
  await ann.isSent();
  const places = (selector) =>
    ann.page.locator(`article ${selector}`).evaluate((element) => {
      const text = element.firstChild;
      const at = (offset) => {
        const range = document.createRange();
        range.setStart(text, offset);
        range.setEnd(text, offset + 1);
        return range.getBoundingClientRect().left;
      };
      return [at(0), at(text.length - 1)];
    });
  for (const selector of ['code', 'a', '.mention']) {
    const [first, last] = await places(selector);
    assert.ok(first < last, `${selector} is turned: ${first} and ${last}`);
  }
});

journey('a list looks as it was written', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.field.fill('3. three\n    - nested\n        - deeper\n7. seven\n\n```rust\nlet a = 1;\n```');
  await ann.field.press('Enter');
  await ann.isDrawn();
  assert.deepEqual(
    await ann.page.locator('article ol > li').evaluateAll((items) => items.map(({ value }) => value)),
    [3, 7],
  );
  assert.equal(await ann.page.locator('article ol ul ul li').textContent(), 'deeper');
  assert.equal(await ann.page.locator('article .language').textContent(), 'rust');
});
