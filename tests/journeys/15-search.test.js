import assert from 'node:assert/strict';
import { journey } from './journey.js';
import { Network } from './network.js';

journey('a word is found however old its message is, and the result leads to it', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const { page } = ann;
  await ann.say('<b>Needle</b> in **the** haystack');
  await ann.isSent();
  await ann.fill('general', 300);
  await ann.sees('line 300');

  await ann.field.focus();
  await page.keyboard.press('Control+Shift+F');
  const panel = page.getByRole('complementary', { name: 'Search' });
  await page.keyboard.type('needle b');
  await page.keyboard.press('Enter');
  await panel.getByText('1 result', { exact: true }).waitFor();
  assert.deepEqual(await panel.locator('mark').allTextContents(), ['b', 'Needle', 'b']);
  assert.equal(await panel.locator('.result-text').textContent(), '<b>Needle</b> in the haystack');
  await panel.getByRole('link').click();
  await page.locator('article.target').filter({ hasText: 'Needle' }).waitFor();
  assert.equal(await page.locator('article[data-seq="301"]').count(), 0);

  // More than one page of results, the newest first.
  await panel.getByRole('searchbox').fill('line');
  await page.keyboard.press('Enter');
  await panel.getByText(/^The newest \d+ results$/u).waitFor();
  assert.match(await panel.getByRole('link').first().textContent(), /line 300$/u);
  const before = await panel.getByRole('link').count();
  await panel.getByRole('button', { name: 'Search older messages' }).click();
  await page.waitForFunction((count) => document.querySelectorAll('chat-search li').length > count, before);

  await panel.getByRole('searchbox').fill('zebra');
  await page.keyboard.press('Enter');
  await panel.getByText('No message contains “zebra”.').waitFor();
  await page.keyboard.press('Escape');
  await panel.waitFor({ state: 'hidden' });
  await ann.isOn(ann.field);
});

journey('on a phone the search is a pane of its own, and offline it says what it needs', async ({ browser }) => {
  const ann = await browser.person({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  const { page } = ann;
  const network = await Network.of(ann);
  await ann.join('Ann');
  await ann.listed('general').tap();
  await ann.isIn('general');
  await ann.send('where is the needle');

  network.cut();
  await page.getByText('You are offline.').waitFor();
  // What is here can be read all the same.
  await ann.sees('where is the needle');
  await page.getByRole('button', { name: 'Search' }).tap();
  const panel = page.getByRole('complementary', { name: 'Search' });
  await panel.getByRole('searchbox').fill('needle');
  await page.keyboard.press('Enter');
  await panel.getByText('Searching needs a connection. It continues by itself.').waitFor();
  network.mend();
  await page.evaluate(() => dispatchEvent(new Event('online')));
  await panel.getByRole('link').tap();
  await panel.waitFor({ state: 'hidden' });
  await page.locator('article.target').filter({ hasText: 'where is the needle' }).waitFor();
});
