import assert from 'node:assert/strict';
import { journey } from './journey.js';

journey('a channel is found under any spelling of its name, and what is said there is seen', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.createChannel('rust-beginners');
  await ann.open('general');
  for (const name of ['Rust-Beginners', 'RUST%20beginners', 'rust-beginners/']) {
    await ann.page.evaluate((hash) => (location.hash = hash), `#/c/${name}`);
    await ann.isIn('rust-beginners');
    await ann.page.waitForFunction(() => location.hash === '#/c/rust-beginners');
    await ann.say(`by ${name}`);
    await ann.isSent();
    await ann.sees(`by ${name}`);
    assert.equal(await ann.listed('rust-beginners').getAttribute('aria-current'), 'page');
    await ann.open('general');
  }
  // At a start of the page too, with the message that the address names.
  await ann.visit('/#/c/Rust-Beginners/1');
  await ann.page.reload();
  await ann.page.locator('article.target', { hasText: 'by Rust-Beginners' }).waitFor();
  assert.equal(await ann.page.getByRole('navigation', { name: 'Channels' }).getByRole('link').count(), 2);

  // What only the server takes for the same name is opened under its spelling.
  await ann.createChannel('strasse');
  await ann.open('general');
  await ann.page.evaluate(() => (location.hash = '#/c/Straße'));
  await ann.isIn('strasse');
  await ann.page.waitForFunction(() => location.hash === '#/c/strasse');
  await ann.say('one street');
  await ann.isSent();
  await ann.sees('one street');
});

journey('a link to this chat leads there without a second chat', async ({ browser, server }) => {
  const ann = await browser.joined('Ann');
  await ann.createChannel('rust');
  await ann.say('the first');
  await ann.isSent();
  await ann.open('general');
  await ann.say(`see ${server.url}/#/c/Rust/1`);
  await ann.log.getByRole('link', { name: /\/#\/c\/Rust\/1/u }).click();
  await ann.isIn('rust');
  await ann.page.locator('article.target', { hasText: 'the first' }).waitFor();
  assert.equal(ann.context.pages().length, 1);

  // With a key held it opens where the browser opens it, and so does a link to anywhere else.
  await ann.open('general');
  await ann.say(`see ${server.url}/embed.html`);
  for (const [name, modifiers] of [
    [/Rust\/1/u, ['Control']],
    [/embed/u, []],
  ]) {
    const [other] = await Promise.all([
      ann.context.waitForEvent('page'),
      ann.log.getByRole('link', { name }).click({ modifiers }),
    ]);
    await other.close();
  }
  assert.match(ann.page.url(), /#\/c\/general$/u);
});

journey('a channel that does not exist can be created, or left for another', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const visit = (name) => ann.page.evaluate((hash) => (location.hash = hash), `#/c/${name}`);
  await visit('Gardening');
  await ann.page.getByText('There is no channel called “gardening”.').waitFor();
  await ann.page.getByRole('link', { name: 'Go to #general' }).click();
  await ann.isIn('general');
  await visit('gardening');
  await ann.page.getByRole('button', { name: 'Create #gardening' }).click();
  await ann.isIn('gardening');
  await ann.say('tomatoes');
  await ann.isSent();

  // Another person creates it while somebody waits in front of it.
  const bob = await browser.joined('Bob');
  await bob.page.evaluate(() => (location.hash = '#/c/music'));
  await bob.page.getByText('There is no channel called “music”.').waitFor();
  await ann.createChannel('music');
  await bob.isIn('music');
  await bob.field.waitFor();

  // A name that no channel can have is refused with the reason.
  await visit('what%3F');
  await ann.page.getByRole('button', { name: 'Create #what?' }).click();
  await ann.page.getByRole('alert').filter({ hasText: 'Use 1 to 64 letters' }).waitFor();
  await ann.page.getByRole('link', { name: 'Go to #music' }).click();
  await ann.isIn('music');
});
