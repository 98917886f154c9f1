import assert from 'node:assert/strict';
import { journey } from './journey.js';

journey('signing out ends every tab, and says so where it came unasked', async ({ browser }) => {
  const refused = [/^WebSocket connection to 'ws:\S+' failed: /u];
  const ann = await browser.joined('Ann', { allow: refused });
  await ann.field.fill('a draft');
  const second = await ann.context.newPage();
  await second.goto(ann.server.url);
  await second.getByRole('log', { name: 'Messages in general' }).waitFor();

  await ann.page.bringToFront();
  await ann.page.getByRole('button', { name: 'Ann', exact: true }).click();
  await ann.page.getByRole('button', { name: 'Sign out' }).click();
  await ann.page.getByRole('heading', { name: 'Join the chat' }).waitFor();
  await second.getByText('You were signed out.').waitFor();
  assert.deepEqual(await ann.page.evaluate(() => Object.keys(localStorage)), []);
  await ann.page.reload();
  await ann.page.getByLabel('Your name').waitFor();
  await ann.tryToJoin('Anna');
  await ann.page.locator('chat-shell').waitFor();
});
