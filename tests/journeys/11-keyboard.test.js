import assert from 'node:assert/strict';
import { journey } from './journey.js';

/** Waits until the focus is where one writes in this channel. */
const isWritingIn = (person, name) => person.page.waitForFunction((wanted) => document.activeElement.getAttribute('aria-label') === `Message #${wanted}`, name);

journey('by keys alone one gets around, and the focus is never lost', async ({ browser }) => {
  const ann = await browser.person();
  const { page } = ann;
  await ann.join('Ann');
  await ann.isIn('general');
  for (const name of ['art', 'road-map', 'rust']) await ann.createChannel(name);
  const bob = await browser.person();
  await bob.join('Bob');
  await bob.open('road-map');
  await bob.say('something new');
  await page.getByRole('link', { name: 'road-map 1 unread' }).waitFor();
  await page.bringToFront();
  await ann.field.focus();

  // What is unread is the first that is offered; a few letters find another one.
  await page.keyboard.press('Control+k');
  const switcher = page.getByRole('dialog', { name: 'Go to a channel' });
  const chosen = switcher.getByRole('option', { selected: true });
  assert.match(await chosen.textContent(), /^#road-map/u);
  await page.keyboard.press('Escape');
  await switcher.waitFor({ state: 'hidden' });
  await isWritingIn(ann, 'rust');
  await page.keyboard.press('Control+k');
  await page.keyboard.type('gnr');
  assert.match(await chosen.textContent(), /^#general/u);
  await page.keyboard.press('Enter');
  await ann.isIn('general');
  await isWritingIn(ann, 'general');

  // The list's order: art, general, road-map, rust.
  await page.keyboard.press('Alt+ArrowUp');
  await isWritingIn(ann, 'art');
  await page.keyboard.press('Alt+Shift+ArrowDown');
  await isWritingIn(ann, 'road-map');
  await page.keyboard.press('Alt+ArrowDown');
  await isWritingIn(ann, 'rust');
  await page.keyboard.press('Alt+ArrowDown');
  await isWritingIn(ann, 'art');

  // One that is not there is made.
  await page.keyboard.press('Control+k');
  await page.keyboard.type('New Place');
  await switcher.getByRole('option', { name: 'Create #new-place' }).waitFor();
  await page.keyboard.press('Enter');
  await isWritingIn(ann, 'new-place');
  await bob.listed('new-place').waitFor();

  // The help lists the keys; where somebody writes, a sign is a sign.
  await page.keyboard.type('what?');
  assert.equal(await ann.field.inputValue(), 'what?');
  await page.keyboard.press('Control+/');
  const help = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
  await help.getByText('Next unread channel').waitFor();
  await page.keyboard.press('Escape');
  await help.waitFor({ state: 'hidden' });
  await isWritingIn(ann, 'new-place');
  await ann.log.focus();
  await page.keyboard.press('?');
  await help.waitFor();
  await page.keyboard.press('Escape');
  assert.equal(await ann.log.evaluate((log) => log === document.activeElement), true);
});
