import assert from 'node:assert/strict';
import { journey } from './journey.js';

/** Whether what the page shows has no gap between its first and its last message. */
async function isWhole(person) {
  const seqs = (await person.transcript()).map(({ seq }) => seq);
  assert.deepEqual(
    seqs,
    Array.from({ length: seqs.length }, (_, at) => seqs[0] + at),
  );
  return seqs;
}

const inSight = (person, seq) =>
  person.page.waitForFunction((wanted) => {
    const log = document.querySelector('[role=log]');
    const article = log.querySelector(`article.target[data-seq="${wanted}"]`);
    if (!article) return false;
    const [box, frame] = [article.getBoundingClientRect(), log.getBoundingClientRect()];
    return box.top >= frame.top && box.bottom <= frame.bottom;
  }, seq);

journey(
  'the address of a message leads to it, however old it is, and from there to the newest',
  async ({ browser }) => {
    const ann = await browser.joined('Ann');
    await ann.fill('general', 400);
    await ann.visit('/#/c/general/42');
    await ann.page.reload();
    await inSight(ann, 42);
    assert.ok((await isWhole(ann)).at(-1) < 301);
    assert.equal(await ann.page.evaluate(() => document.activeElement.dataset.seq), '42');

    // The same channel is left as it is while another message of it is named.
    await ann.page.evaluate(() => (location.hash = '#/c/general/200'));
    await inSight(ann, 200);
    await isWhole(ann);

    // On the way down nothing is left out.
    await ann.page.waitForFunction(() => {
      const log = document.querySelector('[role=log]');
      log.scrollTop = log.scrollHeight;
      return log.querySelector('article[data-seq="400"]');
    });
    assert.equal((await isWhole(ann)).at(-1), 400);

    await ann.page.evaluate(() => (location.hash = '#/c/general/7'));
    await inSight(ann, 7);
    await ann.page.getByRole('button', { name: 'Go to the newest message' }).click();
    await ann.page.locator('article[data-seq="400"]').waitFor();
    assert.match(ann.page.url(), /#\/c\/general$/u);
    await isWhole(ann);

    await ann.page.evaluate(() => (location.hash = '#/c/general/999'));
    await ann.page.getByRole('alert').filter({ hasText: 'There is no message 999 in #general.' }).waitFor();
  },
);
