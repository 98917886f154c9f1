import assert from 'node:assert/strict';
import { journey } from './journey.js';

/** How long it takes from the click on a channel to the frame after the one that has so many messages. */
function opening(page, name, count) {
  return page.evaluate(
    ([wanted, total]) =>
      new Promise((resolve) => {
        const link = document.querySelector(`chat-channels a[href$="/${wanted}"]`);
        const start = performance.now();
        const look = () => {
          if (document.querySelectorAll('[role=log] article').length < total) return requestAnimationFrame(look);
          return requestAnimationFrame(() => resolve(performance.now() - start));
        };
        link.click();
        look();
      }),
    [name, count],
  );
}

journey('a message comes to a page of 500; how long that takes is printed', async ({ browser }) => {
  const ann = await browser.joined('Ann');
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
  await ann.open('art');
  await ann.page.reload();
  await ann.isIn('art');
  // The list may come after the messages of the channel that is open.
  await ann.listed('general').waitFor();
  const painted = await opening(ann.page, 'general', 100);
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
  // What the jump leaves to be laid out is not the next message's cost.
  await ann.page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  await ann.page.evaluate(() => (globalThis.took.length = 0));
  for (let at = 1; at <= 10; at += 1) {
    await ann.say(`more ${at}`);
    await ann.sees(`more ${at}`);
  }
  await ann.isSent();
  await ann.counts(500);
  const drawn = await ann.page.evaluate(() => globalThis.took);
  const took = drawn.toSorted((one, other) => one - other);
  assert.ok(took.length > 0);
  const round = (ms) => `${Math.round(ms * 10) / 10} ms`;
  console.log(
    `# from the click to the painted 100 messages of a channel not seen since the page came: ${round(painted)}`,
  );
  console.log(
    `# 100 messages: ${round(first)}; one more of 500: the first ${round(drawn[0])}, median ${round(took[took.length >> 1])}, longest ${round(took.at(-1))}`,
  );
});
