import assert from 'node:assert/strict';
import { barriers } from './axe.js';
import { journey } from './journey.js';
import { PHONE } from './tour.js';

/** What Chromium itself logs when a session has ended or a link is used up. */
const ENDED = [/^WebSocket connection to 'ws:\S+' failed: /u, /status of 40[1349]/u];

/** What axe finds on a page, by day and by night. */
async function look(person) {
  for (const colorScheme of ['light', 'dark']) {
    await person.page.emulateMedia({ colorScheme });
    assert.deepEqual(await barriers(person), [], `${person.page.url()}, ${colorScheme}`);
  }
}

journey(
  'somebody links a phone, reads there, and signs it out from the list of devices',
  async ({ browser, server }) => {
    const bob = await browser.joined('Bob');
    const ann = await browser.joined('Ann');
    await ann.createChannel('garden');
    await bob.open('garden');

    // A link is made at the desk.
    await ann.openAccount('Ann');
    await ann.page.getByRole('button', { name: 'Make a link' }).click();
    const url = await ann.page.getByRole('textbox', { name: 'Link', exact: true }).inputValue();
    await ann.page.getByRole('img', { name: 'QR code of the link' }).waitFor();
    await look(ann);
    assert.ok(url.startsWith(`${server.url}/#link=`), url);

    // The phone opens it. It says first who one becomes, and the address keeps no secret.
    const phone = await browser.person({ ...PHONE, allow: ENDED });
    await phone.page.goto(url);
    await phone.page.getByRole('heading', { name: 'Sign in on this device' }).waitFor();
    assert.equal(phone.page.url(), `${server.url}/`);
    await look(phone);
    await phone.page.getByRole('button', { name: 'Continue as Ann' }).tap();
    await phone.listed('garden').waitFor();

    // The link is used up: somebody who has seen it gets nowhere.
    const eve = await browser.person({ allow: ENDED });
    await eve.page.goto(url);
    await eve.page.getByText('This link is no longer valid.').waitFor();
    await eve.page.getByRole('button', { name: 'Use a link or code' }).click();
    await look(eve);
    await eve.page.getByLabel('Link or code').fill(url);
    await eve.page.getByRole('button', { name: 'Continue' }).click();
    await eve.page.getByRole('alert').filter({ hasText: 'no longer valid' }).waitFor();

    // What the phone reads is read at the desk.
    await ann.page.getByRole('link', { name: 'Back to the chat' }).click();
    await ann.open('general');
    await bob.say('@Ann, the tomatoes are ripe');
    await ann.page.getByRole('link', { name: 'garden 1 unread, 1 mention', exact: true }).waitFor();
    await phone.page.getByRole('link', { name: 'garden 1 unread, 1 mention', exact: true }).tap();
    await phone.sees('@Ann, the tomatoes are ripe');
    await ann.page.getByRole('link', { name: 'garden', exact: true }).waitFor();
    await phone.send('On my way');
    await bob.sees('On my way');
    assert.deepEqual(
      (await bob.transcript()).map(({ who }) => who),
      ['Bob', 'Ann'],
    );

    // The phone is signed out at the desk, by keyboard.
    await ann.openAccount('Ann');
    const devices = ann.page.getByRole('region', { name: 'Your devices' });
    assert.equal(await devices.getByRole('listitem').count(), 2);
    await look(ann);
    await devices.getByRole('button', { name: /^Sign out Chrome on/u }).focus();
    await ann.page.keyboard.press('Enter');
    await devices.getByText('The device is signed out.').waitFor();
    await phone.page.getByText('You were signed out.').waitFor();
    assert.equal(await devices.getByRole('listitem').count(), 1);
  },
);

journey('somebody types a code, takes another name, and gives it up', async ({ browser }) => {
  const owner = await browser.joined('Olga');
  const ann = await browser.joined('Ann', { allow: ENDED });
  await ann.say('before');
  await ann.openAccount('Ann');
  await ann.page.getByRole('button', { name: 'Make a link' }).click();
  const code = await ann.page.locator('.made code').textContent();

  const phone = await browser.person({ ...PHONE, allow: ENDED });
  await phone.visit();
  await phone.page.getByRole('button', { name: 'Use a link or code' }).tap();
  await phone.page.getByLabel('Link or code').fill(code.toLowerCase().replaceAll('-', ' '));
  await phone.page.getByRole('button', { name: 'Continue' }).tap();
  await phone.listed('general').tap();
  await phone.isIn('general');
  await phone.sees('before');

  // Another name: others and the other device see it, without a reload.
  await ann.page.getByRole('textbox', { name: 'Name' }).fill('Olga');
  await ann.page.getByRole('button', { name: 'Save' }).click();
  await ann.page.getByText('This name is taken.').waitFor();
  await ann.page.getByRole('textbox', { name: 'Name' }).fill('Anna');
  await ann.page.keyboard.press('Enter');
  await ann.page.getByText('Saved.').waitFor();
  await phone.send('after');
  await owner.sees('after');
  assert.equal((await owner.transcript()).at(-1).who, 'Anna');

  // Given up at the phone: both devices are out, and the name is free.
  await phone.page.getByRole('link', { name: 'All channels' }).tap();
  await phone.openAccount('Anna');
  await phone.page.getByRole('button', { name: 'Give up this name' }).tap();
  const question = phone.page.getByRole('dialog', { name: 'Give up Anna?' });
  await look(phone);
  await question.getByRole('button', { name: 'Give up the name' }).tap();
  await phone.page.getByRole('heading', { name: 'Join the chat' }).waitFor();
  await ann.page.getByRole('link', { name: 'Back to the chat' }).click();
  await ann.page.getByRole('heading', { name: 'Join the chat' }).waitFor();
  await ann.tryToJoin('Anna');
  await ann.isIn('general');
});
