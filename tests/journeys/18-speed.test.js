import assert from 'node:assert/strict';
import { journey } from './journey.js';

journey('a message comes to a page of 500; how long that takes is printed', async ({ browser }) => {
  const ann = await browser.person();
  await ann.join('Ann');
  await ann.isIn('general');
  await ann.createChannel('art');
  await ann.open('general');
  await ann.fill('general', 490);
  await ann.page.reload();
  await ann.counts(100);
  /** Notes how long each drawing takes, layout included. */
  const watch = () =>
    ann.page.evaluate(() => {
      const timeline = document.querySelector('chat-timeline');
      const render = timeline.render.bind(timeline);
      globalThis.took = [];
      timeline.render = () => {
        const start = performance.now();
        render();
        timeline.querySelector('.rows').getBoundingClientRect();
        globalThis.took.push(performance.now() - start);
      };
    });
  await watch();
  await ann.open('art');
  await ann.page.evaluate(() => (globalThis.took.length = 0));
  await ann.open('general');
  await ann.counts(100);
  const first = await ann.page.evaluate(() => Math.max(...globalThis.took));

  for (const count of [200, 300, 400, 490]) {
    await ann.log.evaluate((log) => (log.scrollTop = 0));
    await ann.counts(count);
  }
  await ann.page.getByRole('button', { name: 'Go to the newest message' }).click();
  await ann.page.evaluate(() => (globalThis.took.length = 0));
  for (let at = 1; at <= 10; at += 1) {
    await ann.say(`more ${at}`);
    await ann.sees(`more ${at}`);
  }
  await ann.isSent();
  await ann.counts(500);
  const took = await ann.page.evaluate(() => globalThis.took.sort((one, other) => one - other));
  assert.ok(took.length > 0);
  const round = (ms) => `${Math.round(ms * 10) / 10} ms`;
  console.log(`# 100 messages: ${round(first)}; one more of 500: median ${round(took[took.length >> 1])}, longest ${round(took.at(-1))}`);
});
