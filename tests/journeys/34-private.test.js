import assert from 'node:assert/strict';
import { journey } from './journey.js';

const TITLE = 'Plans for spring';

journey(
  'a private channel from its creation to an invitation and a removal, with three people',
  async ({ browser }) => {
    const [ann, bob, cleo] = [await browser.joined('Ann'), await browser.joined('Bob'), await browser.joined('Cleo')];
    await ann.createPrivate(TITLE, ['Bob']);
    await ann.send('Only for the two of us.');
    const address = new URL(ann.page.url()).hash;
    assert.match(address, /^#\/c\/pr\.[a-z0-9]{26}$/u);

    // Bob has it at once, and is told; to Cleo it looks as if there were none.
    await bob.page
      .getByRole('alert')
      .filter({ hasText: `You were added to ${TITLE}.` })
      .waitFor();
    await bob.open(TITLE);
    await bob.sees('Only for the two of us.');
    assert.equal(await cleo.listed(TITLE).count(), 0);
    await cleo.visit(`/${address}`);
    await cleo.page.getByText('This conversation does not exist, or you may not read it.').waitFor();
    assert.equal(await cleo.page.getByRole('button', { name: /^Create #/u }).count(), 0);

    // Who is mentioned and can't read it is marked, and an owner is offered to add them.
    await ann.field.pressSequentially('@Cl');
    await ann.page.getByRole('option').filter({ hasText: 'can’t read this channel' }).waitFor();
    await ann.page.keyboard.press('Enter');
    await ann.page.getByText('Cleo can’t read this channel.').waitFor();
    await ann.page.getByRole('button', { name: 'Add Cleo' }).click();
    for (const person of [ann, bob]) await person.note(/added Cleo/u).waitFor();
    await ann.field.press('End');
    await ann.field.pressSequentially('welcome!');
    await ann.field.press('Enter');
    // Cleo waits where it now appears.
    await cleo.sees('Only for the two of us.');
    await cleo.listed(TITLE).waitFor();

    // An owner makes another one, who removes Cleo.
    const details = await ann.details();
    await details.getByText('3 people').waitFor();
    await details.getByRole('button', { name: 'Make owner: Bob' }).click();
    await details.getByRole('button', { name: 'Make member: Bob' }).waitFor();
    await ann.page.keyboard.press('Escape');
    await bob.note('Ann made you an owner').waitFor();
    const people = await bob.details();
    await people.getByRole('button', { name: 'Remove: Cleo' }).click();
    await people.getByText('Remove Cleo? They can no longer read anything in this channel.').waitFor();
    await people.getByRole('button', { name: 'Remove Cleo', exact: true }).click();
    await people.getByText('2 people').waitFor();
    await bob.page.keyboard.press('Escape');

    // Nothing of it stays on Cleo's page, and nothing more comes.
    await cleo.page
      .getByRole('alert')
      .filter({ hasText: `You can no longer read ${TITLE}.` })
      .waitFor();
    await cleo.listed(TITLE).waitFor({ state: 'detached' });
    assert.equal(await cleo.messages.count(), 0);
    await ann.send('Cleo is gone.');
    await bob.sees('Cleo is gone.');
    await cleo.page.reload();
    await cleo.page.getByText('This conversation does not exist, or you may not read it.').waitFor();
    assert.equal(await cleo.page.getByText('Cleo is gone.').count(), 0);

    // Who leaves goes on elsewhere.
    const own = await ann.details();
    await own.getByRole('button', { name: 'Leave', exact: true }).click();
    await own.getByRole('button', { name: 'Leave it' }).click();
    await ann.isIn('general');
    await ann.listed(TITLE).waitFor({ state: 'detached' });
    await bob.note('Ann left').waitFor();
  },
);

journey('the last owner is told to name another one before leaving', async ({ browser }) => {
  const [ann, bob] = [await browser.joined('Ann'), await browser.joined('Bob')];
  await ann.createPrivate(TITLE, ['Bob']);
  const details = await ann.details();
  await details.getByRole('button', { name: 'Leave', exact: true }).click();
  await details.getByRole('button', { name: 'Leave it' }).click();
  await details.getByRole('alert').filter({ hasText: /owner/u }).waitFor();
  await ann.page.keyboard.press('Escape');
  await bob.open(TITLE);
  // A member who is no owner changes neither the title nor the people.
  const seen = await bob.details();
  await seen.getByText('2 people').waitFor();
  assert.equal(await seen.getByLabel('Title').isVisible(), false);
  assert.equal(await seen.getByRole('button', { name: /^Remove/u }).count(), 0);
});
