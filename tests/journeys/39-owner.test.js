import assert from 'node:assert/strict';
import { barriers } from './axe.js';
import { journey } from './journey.js';
import { PHONE } from './tour.js';

/** What Chromium itself logs when a request is refused or a session has ended. */
const ENDED = [/^WebSocket connection to 'ws:\S+' failed: /u, /status of (?:40[1349])/u];

/** What axe finds on a page, by day and by night, wide and narrow. */
async function look(person) {
  for (const width of [1280, 390]) {
    await person.resize(width, 800);
    for (const colorScheme of ['light', 'dark']) {
      await person.page.emulateMedia({ colorScheme });
      assert.deepEqual(await barriers(person), [], `${person.page.url()}, ${width} px, ${colorScheme}`);
      const room = await person.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.equal(room, 0, `nothing is wider than ${width} px`);
    }
  }
  await person.resize(1280, 800);
}

journey('the owner invites, renames, lets back in, signs out and removes', async ({ browser, server }) => {
  server.options = ['--join', 'invite'];
  await server.kill();
  await server.restart();
  const olga = await browser.joined('Olga', { allow: ENDED });

  // Nobody joins without an invitation.
  const ann = await browser.person({ allow: ENDED });
  await ann.visit();
  await ann.tryToJoin('Ann');
  await ann.page.getByRole('alert').filter({ hasText: 'You need an invitation' }).waitFor();

  await olga.openAccount('Olga');
  await olga.page.getByRole('link', { name: 'People and channels' }).click();
  await olga.page.getByRole('button', { name: 'Invite' }).click();
  const made = olga.page.getByRole('dialog', { name: 'Invitation' });
  const invitation = await made.getByRole('textbox', { name: 'Link' }).inputValue();
  await look(olga);
  await made.getByRole('button', { name: 'Done' }).click();
  await olga.page.getByText('For one person').waitFor();
  await ann.page.goto(invitation);
  await ann.tryToJoin('Ann');
  await ann.isIn('general');

  // Renamed and signed out by the owner, and let back in on a phone.
  await olga.page.reload();
  const people = olga.page.getByRole('region', { name: 'People' });
  await people.getByRole('button', { name: 'Rename: Ann' }).click();
  await olga.page.getByLabel('New name').fill('Olga');
  await olga.page.keyboard.press('Enter');
  await olga.page.getByRole('alert').filter({ hasText: 'This name is taken.' }).waitFor();
  await look(olga);
  await olga.page.getByLabel('New name').fill('Anna');
  await olga.page.keyboard.press('Enter');
  await people.getByText('The name is Anna now.').waitFor();
  await ann.page.getByRole('button', { name: 'Anna', exact: true }).waitFor();
  await people.getByRole('button', { name: 'Sign out: Anna' }).click();
  await olga.page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click();
  await ann.page.getByText('You were signed out.').waitFor();
  await people.getByRole('button', { name: 'Sign-in link: Anna' }).click();
  const link = await olga.page.getByRole('dialog').getByRole('textbox', { name: 'Link' }).inputValue();
  await olga.page.getByRole('button', { name: 'Done' }).click();
  const phone = await browser.person({ ...PHONE, allow: ENDED });
  await phone.page.goto(link);
  await phone.page.getByRole('button', { name: 'Continue as Anna' }).tap();
  await phone.listed('general').waitFor();

  // Found by name, and removed.
  await olga.page.getByLabel('Find by name').fill('an');
  await people.getByText('Olga').waitFor({ state: 'detached' });
  await look(olga);
  await people.getByRole('button', { name: 'Remove: Anna' }).click();
  await olga.page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await phone.page.getByText('You were signed out.').waitFor();
  await people.getByText('Anna is removed.').waitFor();

  // The page is the owner's alone.
  const eve = await browser.person({ allow: ENDED });
  await eve.visit('/admin.html');
  await eve.page.getByRole('heading', { name: 'Join the chat' }).waitFor();
});
