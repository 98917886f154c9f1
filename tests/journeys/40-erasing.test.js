import assert from 'node:assert/strict';
import { barriers } from './axe.js';
import { journey } from './journey.js';

/** What Chromium itself logs when a request is refused or a session has ended. */
const ENDED = [/^WebSocket connection to 'ws:\S+' failed: /u, /status of (?:40[1349])/u];

/** What axe finds on a page with an open dialog, wide and narrow. */
async function look(person) {
  for (const width of [1280, 390]) {
    await person.resize(width, 800);
    assert.deepEqual(await barriers(person), [], `${width} px`);
    const room = await person.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.equal(room, 0, `nothing is wider than ${width} px`);
  }
  await person.resize(1280, 800);
}

journey('one person deletes their account, and the owner erases another', async ({ browser }) => {
  const olga = await browser.joined('Olga', { allow: ENDED });
  const ann = await browser.joined('Ann', { allow: ENDED });
  const bob = await browser.joined('Bob', { allow: ENDED });
  await ann.send('Ann was here');
  await bob.send('Bob was here');
  await olga.sees('Bob was here');

  // By oneself: the messages stay, without the name.
  await ann.openAccount('Ann');
  await ann.page.getByRole('button', { name: 'Delete my account' }).click();
  const question = ann.page.getByRole('dialog', { name: 'Delete your account?' });
  await look(ann);
  await question.getByRole('button', { name: 'Keep it' }).click();
  await question.waitFor({ state: 'detached' });
  await ann.page.getByRole('button', { name: 'Delete my account' }).click();
  await question.getByRole('button', { name: 'Delete it, keep messages' }).click();
  await ann.page.getByRole('heading', { name: 'Join the chat' }).waitFor();
  await olga.message('Ann was here').getByText('Deleted user').waitFor();

  // The name is free, and whoever takes it is somebody else.
  await ann.tryToJoin('Ann');
  await ann.isIn('general');
  await ann.message('Ann was here').getByText('Deleted user').waitFor();

  // By the owner: the messages go too.
  await olga.openAccount('Olga');
  await olga.page.getByRole('link', { name: 'People and channels' }).click();
  const people = olga.page.getByRole('region', { name: 'People' });
  await people.getByRole('button', { name: 'Erase: Bob' }).click();
  const sure = olga.page.getByRole('dialog', { name: 'Erase Bob?' });
  await look(olga);
  await sure.getByRole('button', { name: 'Erase with messages' }).click();
  await people.getByText('Bob is erased.').waitFor();
  await bob.page.getByText('You were signed out.').waitFor();
  await ann.page.getByText('This message was deleted.').waitFor();
  assert.equal(await ann.page.getByText('Bob was here').count(), 0);
});
