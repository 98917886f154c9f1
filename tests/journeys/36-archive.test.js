import assert from 'node:assert/strict';
import { journey } from './journey.js';

const BAR = 'This channel is archived: it can be read, but nobody can write in it.';

journey('an archived channel can be read, found and brought back', async ({ browser }) => {
  const [ann, bob] = [await browser.joined('Ann'), await browser.joined('Bob')];
  await ann.createChannel('meetup', 'Where we meet');
  await ann.send('The room is booked for May.');
  await bob.open('meetup');
  await bob.send('Splendid.');

  const details = await ann.details();
  await details.getByRole('button', { name: 'Archive', exact: true }).click();
  await details.getByRole('button', { name: 'Archive it' }).click();
  await details.getByRole('button', { name: 'Restore' }).waitFor();
  await ann.page.keyboard.press('Escape');
  for (const person of [ann, bob]) {
    await person.page.locator('.read-only').filter({ hasText: BAR }).waitFor();
    assert.equal(await person.field.isVisible(), false);
  }
  await bob.note('Ann archived the channel').waitFor();
  assert.equal(await bob.page.getByRole('button', { name: 'Restore it' }).count(), 0);

  // It is out of the list, but whoever looks for it finds it.
  await bob.open('general');
  await bob.listed('meetup').waitFor({ state: 'detached' });
  await bob.page.getByRole('button', { name: 'Browse channels' }).click();
  const browse = bob.page.getByRole('dialog', { name: 'Browse channels' });
  await browse.getByRole('button', { name: /^general/u }).waitFor();
  assert.equal(await browse.getByRole('button', { name: /^meetup/u }).count(), 0);
  await browse.getByLabel('Archived channels too').check();
  await browse.getByRole('button', { name: /^meetup/u }).click();
  await bob.isIn('meetup');
  await bob.sees('The room is booked for May.');
  await bob.open('general');
  await bob.visit('/#/c/meetup/1');
  await bob.page.reload();
  await bob.page.locator('article.target').filter({ hasText: 'booked' }).waitFor();
  await bob.page.locator('.read-only').filter({ hasText: BAR }).waitFor();
  await bob.page.getByRole('button', { name: 'Search', exact: true }).click();
  const panel = bob.page.getByRole('complementary', { name: 'Search' });
  await panel.getByLabel('Where to search').selectOption('All channels');
  await panel.getByRole('searchbox').fill('booked');
  await bob.page.keyboard.press('Enter');
  await panel.getByRole('heading', { name: 'meetup' }).waitFor();

  await ann.page.getByRole('button', { name: 'Restore it' }).click();
  await ann.send('It is on again.');
  await bob.page.locator('.read-only').waitFor({ state: 'hidden' });
  await bob.sees('It is on again.');
});

journey('a channel is renamed for everybody at once, and its old addresses lead to it', async ({ browser }) => {
  const [ann, bob] = [await browser.joined('Ann'), await browser.joined('Bob')];
  await ann.createChannel('plans');
  await ann.send('A message with an address.');
  await bob.open('plans');
  const details = await ann.details();
  await details.getByLabel('Title').fill('Plans for summer');
  await details.getByLabel('Topic').fill('Who brings the tent');
  await details.getByRole('button', { name: 'Save' }).click();
  await details.getByRole('heading', { name: '#Plans for summer' }).waitFor();
  await ann.page.keyboard.press('Escape');

  await bob.isIn('Plans for summer');
  await bob.listed('Plans for summer').waitFor();
  await bob.page.getByText('Who brings the tent').first().waitFor();
  await bob.note('Ann named the channel Plans for summer').waitFor();
  await bob.page.waitForFunction(() => document.title === '#Plans for summer · Chat');
  await bob.send('The same channel.');
  await bob.open('general');
  await bob.visit('/#/c/plans/1');
  await bob.page.reload();
  await bob.page.locator('article.target').filter({ hasText: 'A message with an address.' }).waitFor();
  await bob.isIn('Plans for summer');
});
