import assert from 'node:assert/strict';
import { journey } from './journey.js';
import { facePng, withAvatars } from './avatars.js';

/** What Chromium itself logs when a picture is not there. */
const MISSING = [/status of 404/u];

journey('people have pictures, and initials if a picture is missing', async ({ browser }) => {
  const bob = await browser.joined('Bob');
  await bob.send('Bob was here');
  const cleo = await browser.joined('Cleo');
  await cleo.send('Cleo too');
  const ann = await browser.person({ allow: MISSING });
  await withAvatars(ann, { Ann: '/faces/ann.png', Bob: '/faces/bob.png', Cleo: '/faces/gone.png' });
  const asked = [];
  await ann.context.route('**/faces/*.png', async (route) => {
    asked.push(await route.request().allHeaders());
    if (route.request().url().endsWith('gone.png')) await route.fulfill({ status: 404 });
    else await route.fulfill({ contentType: 'image/png', body: await facePng(ann.page) });
  });
  await ann.join('Ann');
  await ann.isIn('general');
  const shown = (text) => ann.message(text).locator('.avatar');
  await shown('Bob was here').locator('img').waitFor();
  assert.equal(await shown('Cleo too').textContent(), 'C', 'a missing picture leaves the initials');
  await ann.page.getByRole('button', { name: 'Ann', exact: true }).locator('img').waitFor();
  await ann.page.locator('chat-members').getByRole('listitem').filter({ hasText: 'Bob' }).locator('img').waitFor();
  // It fills its place, and no more.
  const [place, picture] = await Promise.all(
    [shown('Bob was here'), shown('Bob was here').locator('img')].map((one) => one.boundingBox()),
  );
  assert.deepEqual(picture, place);
  assert.deepEqual([...new Set(asked.map(({ referer }) => referer))], [undefined], 'no picture learns of the page');
});
