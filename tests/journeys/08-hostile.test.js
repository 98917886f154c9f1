import assert from 'node:assert/strict';
import { journey } from './journey.js';

const TEXTS = [
  '<img src=x onerror="document.title=\'pwned\'">',
  '<script>document.title="pwned"</script>',
  'javascript:alert(1) data:text/html,<b>x</b>',
  '&lt;b&gt; \u202Eevil\u202C "quotes" \'and\' ticks`',
];

journey('hostile text and names are literal, and a long one does not hold up the page', async ({ browser }) => {
  const mallory = await browser.person();
  await mallory.join('<b>Mallory</b> "&amp;');
  await mallory.createChannel('odd', '<i onclick="document.title=\'pwned\'">topic</i>');
  const ann = await browser.person();
  await ann.join('Ann');
  await ann.open('odd');
  let dialogs = 0;
  ann.page.on('dialog', (dialog) => {
    dialogs += 1;
    return dialog.dismiss();
  });

  for (const text of TEXTS) {
    await mallory.say(text);
    await ann.sees(text);
  }
  assert.deepEqual((await ann.transcript()).map(({ text }) => text), TEXTS);
  assert.equal(await ann.log.locator('img, script, b, i').count(), 0);
  assert.equal(await ann.log.locator('a').count(), 0);
  assert.equal(await ann.log.locator('.author').first().textContent(), '<b>Mallory</b> "&amp;');
  assert.equal(await ann.page.locator('.topic').textContent(), '<i onclick="document.title=\'pwned\'">topic</i>');

  await mallory.say('>'.repeat(4000));
  await ann.sees('>'.repeat(4000));
  const answers = await ann.page.evaluate(() => {
    const start = performance.now();
    return new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start))));
  });
  assert.ok(answers < 100, `the page answered after ${answers} ms`);

  await mallory.tryToCreate('<script>alert(1)</script>');
  await mallory.page.getByRole('dialog').getByRole('alert').filter({ hasText: 'Use 1 to 64 letters' }).waitFor();
  assert.equal(await mallory.listed('odd').count(), 1);
  assert.match(await ann.page.title(), /#odd/u);
  assert.equal(dialogs, 0);
});

journey('only safe addresses become links, and they do not lead back', async ({ browser }) => {
  const ann = await browser.person();
  await ann.join('Ann');
  await ann.isIn('general');
  await ann.say('see https://example.org/a_(b), ftp://example.org and mailto:ann@example.org');
  const links = await ann.log.locator('a').evaluateAll((all) => all.map((link) => [link.href, link.rel, link.target]));
  const rel = 'noopener noreferrer nofollow';
  assert.deepEqual(links, [
    ['https://example.org/a_(b)', rel, '_blank'],
    ['mailto:ann@example.org', rel, '_blank'],
  ]);
});
