import assert from 'node:assert/strict';
import { journey } from './journey.js';

journey('somebody who reads further up is not moved; a pill leads to what is new', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.fill('general', 80);
  await ann.counts(80);
  const bob = await browser.joined('Bob');

  await ann.page.bringToFront();
  const before = await ann.log.evaluate((log) => {
    log.scrollTop = log.scrollHeight / 2;
    return log.scrollTop;
  });
  await ann.page.getByRole('button', { name: 'Go to the newest message' }).waitFor();
  for (const text of ['first', 'second', 'third']) await bob.say(text);
  const pill = ann.page.getByRole('button', { name: '3 new messages, go to the end' });
  await pill.waitFor();
  assert.match(await pill.textContent(), /^3 new/u);
  assert.ok(Math.abs((await ann.log.evaluate((log) => log.scrollTop)) - before) <= 1);

  await pill.press('Enter');
  await pill.waitFor({ state: 'hidden' });
  await ann.isOn(ann.log);
  assert.ok((await ann.log.evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight)) <= 1);
  const divider = ann.log.getByRole('separator').filter({ hasText: 'New' });
  assert.equal(await divider.count(), 1);
  const beneath = await divider.evaluate((element) => element.nextElementSibling.querySelector('.text').textContent);
  assert.equal(beneath, 'first');

  await bob.say('fourth');
  await ann.sees('fourth');
  assert.ok((await ann.log.evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight)) <= 1);
});

journey('unread counts are live, and reading in one tab clears them in the other', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.createChannel('rust');
  const bob = await browser.person();
  await bob.join('Bob');
  await bob.open('general');
  const second = await ann.context.newPage();
  await second.goto(`${ann.server.url}/#/c/rust`);
  const badge = second.getByRole('link', { name: 'general 2 unread' });

  await bob.say('one');
  await bob.say('two');
  await badge.waitFor();
  await ann.page.bringToFront();
  await ann.page.getByRole('link', { name: 'general 2 unread' }).click();
  await ann.isIn('general');
  await ann.sees('two');
  await badge.waitFor({ state: 'detached' });
});
