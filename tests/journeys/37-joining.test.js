import assert from 'node:assert/strict';
import { journey } from './journey.js';

const titled = (page, title) => page.waitForFunction((wanted) => document.title === wanted, title);

journey('an open channel is found by browsing, joined, and left again', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.createChannel('garden', 'Tomatoes and other long-running processes');
  await ann.send('They are red.');
  const bob = await browser.joined('Bob');
  assert.equal(await bob.listed('garden').count(), 0);
  await bob.page.getByRole('button', { name: 'Browse channels' }).click();
  const browse = bob.page.getByRole('dialog', { name: 'Browse channels' });
  await browse.getByRole('searchbox', { name: 'Find a channel' }).fill('gard');
  await browse.getByRole('button', { name: 'Join garden' }).click();
  await bob.isIn('garden');
  await bob.sees('They are red.');
  await bob.page.reload();
  await bob.listed('garden').waitFor();

  const details = await bob.details();
  await details.getByRole('button', { name: 'Leave', exact: true }).click();
  await bob.isIn('general');
  await bob.listed('garden').waitFor({ state: 'detached' });
  // What goes on there is no longer news.
  await ann.send('All of them.');
  // To look in is not to join; to write is.
  await bob.visit('/#/c/garden');
  await bob.sees('All of them.');
  await bob.page.getByRole('button', { name: 'Join', exact: true }).waitFor();
  await bob.send('May I have one?');
  await bob.page.getByRole('button', { name: 'Join', exact: true }).waitFor({ state: 'hidden' });
  await bob.page.reload();
  await bob.listed('garden').waitFor();
});

journey('a mention is counted on one page and read on another, and a muted channel is quiet', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const bob = await browser.joined('Bob');
  await bob.writeTo();
  const phone = await bob.context.newPage();
  await phone.setViewportSize({ width: 390, height: 844 });
  await phone.goto(`${bob.server.url}/`);
  await phone.getByRole('link', { name: 'All channels' }).click();
  const badge = (page) => page.getByRole('link', { name: 'general 1 unread, 1 mention', exact: true });
  await ann.field.pressSequentially('@bo');
  await ann.page.getByRole('option', { name: 'Bob' }).waitFor();
  await ann.page.keyboard.press('Enter');
  await ann.page.keyboard.type('have a look');
  await ann.page.keyboard.press('Enter');
  await badge(bob.page).waitFor();
  await badge(phone).waitFor();
  await bob.open('general');
  await bob.page.bringToFront();
  await bob.sees('@Bob have a look');
  await badge(phone).waitFor({ state: 'detached' });

  const details = await bob.details();
  await details.getByLabel('Notify me of').selectOption('Nothing');
  await bob.page.keyboard.press('Escape');
  await bob.page.getByRole('link', { name: /^Bob \(you\)/u }).click();
  await bob.isIn('Bob (you)');
  await ann.send('@Bob nobody hears this');
  await bob.page.getByRole('link', { name: 'general 1 unread', exact: true }).waitFor();
  await titled(bob.page, 'Bob (you) · Chat');
});
