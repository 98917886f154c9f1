import assert from 'node:assert/strict';
import { journey } from './journey.js';

journey('two people who write to each other at the same moment are in one conversation', async ({ browser }) => {
  const [ann, bob] = [await browser.joined('Ann'), await browser.joined('Bob')];
  await Promise.all([ann.writeTo('Bob'), bob.writeTo('Ann')]);
  await Promise.all([ann.isIn('Bob'), bob.isIn('Ann')]);
  assert.equal(new URL(ann.page.url()).hash, new URL(bob.page.url()).hash);
  await ann.send('Do you have a minute?');
  await bob.sees('Do you have a minute?');
  await bob.send('For you, always.');
  await ann.sees('For you, always.');
  // Who is there has a dot beside the name.
  await ann.page.getByRole('link', { name: 'Bob (online)' }).waitFor();
  assert.equal(await ann.page.getByRole('navigation').getByRole('link', { name: /^Bob/u }).count(), 1);

  // What comes while one is elsewhere is a number beside the name, and a mark in the title.
  await bob.open('general');
  await ann.send('One more thing.');
  await bob.page.getByRole('link', { name: 'Ann (online) 1 unread' }).waitFor();
  await bob.page.reload();
  await bob.page.getByRole('link', { name: 'Ann (online) 1 unread' }).click();
  await bob.sees('One more thing.');
  await bob.page.getByRole('link', { name: 'Ann (online)', exact: true }).waitFor();
});

journey('a group is of the people who were chosen, and another choice is another group', async ({ browser }) => {
  const [ann, bob, cleo] = [await browser.joined('Ann'), await browser.joined('Bob'), await browser.joined('Cleo')];
  await ann.writeTo('Bob', 'Cleo');
  await ann.isIn('Bob and Cleo');
  await ann.send('Lunch?');
  await bob.open('Ann and Cleo');
  await bob.sees('Lunch?');
  await cleo.open('Ann and Bob');
  await cleo.send('In ten minutes.');
  await bob.sees('In ten minutes.');
  const group = new URL(bob.page.url()).hash;
  await bob.writeTo('Cleo', 'Ann');
  await bob.isIn('Ann and Cleo');
  assert.equal(new URL(bob.page.url()).hash, group);
  await bob.writeTo('Cleo');
  await bob.isIn('Cleo');
  assert.notEqual(new URL(bob.page.url()).hash, group);
});

journey('one writes to somebody and to oneself from the switcher and by keys alone', async ({ browser }) => {
  const [ann, bob] = [await browser.joined('Ann'), await browser.joined('Bob Okafor')];
  await ann.page.keyboard.press('Control+k');
  await ann.page.keyboard.type('okaf');
  await ann.page.getByRole('option', { name: 'Bob Okafor' }).waitFor();
  await ann.page.keyboard.press('Enter');
  await ann.isIn('Bob Okafor');
  await ann.page.keyboard.type('By keys alone.');
  await ann.page.keyboard.press('Enter');
  await bob.open('Ann');
  await bob.sees('By keys alone.');

  await ann.page.getByRole('button', { name: 'New message' }).focus();
  await ann.page.keyboard.press('Enter');
  const dialog = ann.page.getByRole('dialog', { name: 'New message' });
  await dialog.getByRole('option', { name: 'Bob Okafor' }).waitFor();
  await ann.page.keyboard.type('bob');
  await dialog.getByRole('option', { name: 'Bob Okafor', selected: true }).waitFor();
  await ann.page.keyboard.press('Enter');
  await dialog.getByRole('button', { name: 'Take out Bob Okafor' }).waitFor();
  await ann.page.keyboard.press('Backspace');
  await dialog.getByRole('button', { name: 'Write to yourself' }).click();
  await ann.isIn('Ann (you)');
  await ann.send('Only you can read this, or so they say.');
});
