import assert from 'node:assert/strict';
import { journey } from './journey.js';
import { placeOf, scrollTo } from './sight.js';

journey('older messages come by scrolling up, and the line being read stays where it is', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.fill('general', 250);
  await ann.page.reload();
  await ann.counts(100);
  assert.deepEqual(
    (await ann.transcript()).map(({ seq }) => seq),
    Array.from({ length: 100 }, (_, at) => at + 151),
  );

  for (const [top, count] of [
    [0, 200],
    [250, 250],
  ]) {
    const line = await scrollTo(ann, top);
    await ann.counts(count);
    const moved = Math.abs((await placeOf(ann, line.seq)) - line.top);
    assert.ok(moved <= 1, `the line moved ${moved} px`);
  }
  assert.deepEqual(
    (await ann.transcript()).map(({ seq }) => seq),
    Array.from({ length: 250 }, (_, at) => at + 1),
  );
  await ann.log.getByRole('heading', { name: 'general' }).waitFor({ state: 'attached' });
});

journey('at most 500 messages are on the page, and the way back down is whole', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.fill('general', 720);
  await ann.page.reload();
  await ann.counts(100);
  for (const first of [521, 421, 321, 221, 121, 21, 1]) {
    await scrollTo(ann, 0);
    await ann.log.locator(`article[data-seq="${first}"]`).waitFor({ state: 'attached' });
    assert.ok((await ann.messages.count()) <= 500);
  }
  await ann.page.getByRole('button', { name: 'Go to the newest message' }).waitFor();
  await ann.page.waitForFunction(() => {
    const log = document.querySelector('[role=log]');
    log.scrollTop = log.scrollHeight;
    return log.querySelector('article[data-seq="720"]');
  });
  const seqs = (await ann.transcript()).map(({ seq }) => seq);
  assert.ok(seqs.length <= 500);
  assert.deepEqual(
    seqs,
    Array.from({ length: seqs.length }, (_, at) => 720 - seqs.length + 1 + at),
  );
});
