import assert from 'node:assert/strict';
import { journey } from './journey.js';

journey('two people use everything that the first chat could do', async ({ browser }) => {
  const ann = await browser.person();
  await ann.join('Ann');
  const bob = await browser.person();
  await bob.join('Bob');

  // Anyone creates a channel; the list is live and in order.
  await ann.createChannel('music', 'What to listen to');
  await bob.listed('music').waitFor();
  await bob.createChannel('art');
  await ann.listed('art').waitFor();
  await ann.enter('art');
  await ann.open('music');
  const names = await ann.page
    .getByRole('navigation', { name: 'Channels' })
    .getByRole('link')
    .locator('.name')
    .allTextContents();
  assert.deepEqual(names, ['art', 'general', 'music']);

  // Live messages with name and time, without a reload; who is there, and who is typing.
  await bob.open('music');
  await ann.page.getByText('What to listen to').first().waitFor();
  await ann.page.getByRole('button', { name: '2 members online' }).waitFor();
  await bob.field.pressSequentially('Hel');
  await ann.page.getByText('Bob is typing…').waitFor();
  await bob.say('Hello Ann');
  await ann.sees('Hello Ann');
  await ann.page.getByText('Bob is typing…').waitFor({ state: 'hidden' });
  const [line] = await ann.transcript();
  assert.equal(line.who, 'Bob');
  assert.match(line.time, /^\d\d?:\d\d/u);
  assert.match(await ann.message('Hello Ann').locator('time').first().getAttribute('title'), /20\d\d/u);

  // More than one line, and a draft that outlives a reload.
  await ann.field.pressSequentially('one');
  await ann.field.press('Shift+Enter');
  await ann.field.pressSequentially('two');
  await ann.page.reload();
  await ann.isIn('music');
  assert.equal(await ann.field.inputValue(), 'one\ntwo');
  await ann.field.press('Enter');
  await bob.messages.filter({ hasText: 'two' }).waitFor();
  assert.equal((await bob.transcript()).at(-1).text, 'one\ntwo');
  assert.equal(await ann.field.inputValue(), '');

  // An open channel shows its newest hundred; the last channel is remembered.
  await bob.fill('art', 130);
  await ann.listed('art').waitFor();
  await ann.page.getByRole('link', { name: 'art 130 unread' }).click();
  await ann.counts(100);
  assert.equal((await ann.transcript()).at(-1).text, 'line 130');
  await ann.page.goto(ann.server.url);
  await ann.isIn('art');
  assert.match(ann.page.url(), /#\/c\/art$/u);
  await ann.page.goBack();
  await ann.page.goForward();
  await ann.isIn('art');
});

journey('what is too long is known before it is sent', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.field.fill('x'.repeat(ann.limits.text_chars + 2));
  await ann.page.getByText('2 characters too many').waitFor();
  assert.equal(await ann.page.getByRole('button', { name: 'Send' }).isDisabled(), true);
  await ann.field.press('Enter');
  await ann.isDrawn();
  assert.equal(await ann.messages.count(), 0);
  await ann.field.fill('x'.repeat(ann.limits.text_chars));
  await ann.field.press('Enter');
  await ann.counts(1);
  await ann.isSent();
});

journey('on a phone the list and the channel take turns, and an Enter is a new line', async ({ browser }) => {
  const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, colorScheme: 'dark' };
  const ann = await browser.person(phone);
  await ann.join('Ann');
  await ann.listed('general').tap();
  await ann.isIn('general');
  await ann.field.fill('one');
  await ann.field.press('Enter');
  assert.equal(await ann.field.inputValue(), 'one\n');
  await ann.field.pressSequentially('two');
  await ann.page.getByRole('button', { name: 'Send' }).tap();
  await ann.counts(1);
  await ann.isSent();
  assert.deepEqual(
    (await ann.transcript()).map(({ text }) => text),
    ['one\ntwo'],
  );
  await ann.page.getByRole('link', { name: 'All channels' }).tap();
  await ann.listed('general').waitFor();
  assert.equal(await ann.field.isVisible(), false);
  await ann.listed('general').tap();
  await ann.isIn('general');
  await ann.page.goBack();
  await ann.listed('general').waitFor();
  await ann.visit();
  await ann.isIn('general');
  const small = await ann.page.evaluate(() =>
    [...document.querySelectorAll('button, a.back')]
      .filter((one) => one.checkVisibility() && (one.offsetWidth < 44 || one.offsetHeight < 44))
      .map((one) => one.getAttribute('aria-label') ?? one.textContent),
  );
  assert.deepEqual(small, []);
});
