import assert from 'node:assert/strict';
import { journey } from './journey.js';

journey('a created channel appears for the others, and its name cannot be had twice', async ({ browser }) => {
  const ann = await browser.person();
  const bob = await browser.person();
  await ann.join('Ann');
  await bob.join('Bob');
  await ann.tryToCreate('Rust');
  await ann.isIn('rust');
  await bob.listed('rust').waitFor();

  await bob.tryToCreate('rust');
  const dialog = bob.page.getByRole('dialog', { name: 'Create a channel' });
  await dialog.getByText('#rust exists already.').waitFor();
  await dialog.getByRole('button', { name: 'Open #rust' }).click();
  await bob.isIn('rust');
  await dialog.waitFor({ state: 'hidden' });
  assert.equal(await bob.listed('rust').count(), 1);

  await ann.say('Welcome to rust');
  await bob.sees('Welcome to rust');
});
