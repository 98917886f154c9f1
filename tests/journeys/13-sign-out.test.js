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
  await ann.page.locator('chat-user-menu').getByRole('button', { name: 'Sign out' }).click();
  const question = ann.page.getByRole('dialog', { name: 'Sign out of your only device?' });
  await question.getByText('the service with --owner-link').waitFor();
  await ann.page.keyboard.press('Escape');
  await question.waitFor({ state: 'detached' });
  assert.equal(await ann.field.inputValue(), 'a draft');
  await ann.signOut('Ann');
  await ann.page.getByRole('heading', { name: 'Join the chat' }).waitFor();
  await second.getByText('You were signed out.').waitFor();
  assert.deepEqual(await ann.page.evaluate(() => Object.keys(localStorage)), []);
  await ann.page.reload();
  await ann.page.getByLabel('Your name').waitFor();
  await ann.tryToJoin('Anna');
  await ann.page.locator('chat-shell').waitFor();
});
