import assert from 'node:assert/strict';
import { journeyOnNodes } from './journey.js';

/** What Chromium itself logs while a server is away, and when a session has ended. */
const AWAY = [
  /^WebSocket connection to 'ws:\/\/127\.0\.0\.1:\d+\/chat\/ws' failed: /u,
  /^Failed to load resource: (?:net::ERR_(?:CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE)|the server responded with a status of 401)/u,
];

journeyOnNodes('two people at two servers share one chat, and one goes on when a server dies', async (world) => {
  const { servers, ways, browser } = world;
  const ann = await browser.joined('Ann', { server: ways[0] });
  const bob = await browser.joined('Bob', { server: ways[1], allow: AWAY });

  // Who is there, who is typing, messages in both directions.
  for (const person of [ann, bob]) await person.page.getByRole('button', { name: '2 members online' }).waitFor();
  await ann.field.pressSequentially('Hel');
  await bob.page.getByText('Ann is typing…').waitFor();
  await ann.say('Hello Bob');
  await bob.sees('Hello Bob');
  await bob.say('Hello Ann');
  await ann.sees('Hello Ann');

  // An edit and a reaction.
  await ann.message('Hello Bob').hover();
  await ann.page.getByRole('button', { name: 'Edit', exact: true }).click();
  await ann.field.fill('Hello, Bob');
  await ann.field.press('Enter');
  await bob.messages.getByText('Hello, Bob (edited)').waitFor();
  await bob.message('Hello Ann').hover();
  await bob.page.getByRole('button', { name: 'React with 👍' }).first().click();
  await ann.page.getByRole('button', { name: '👍 1, Bob' }).waitFor();

  // A new channel, and what is unread there.
  await ann.createChannel('garden');
  await bob.listed('garden').waitFor();
  await ann.say('@Bob, look');
  await bob.page.getByRole('link', { name: 'garden 1 unread, 1 mention', exact: true }).waitFor();
  await bob.open('garden');
  await bob.sees('@Bob, look');

  // A sign-out ends the person's pages at both servers.
  const cat = await browser.joined('Cat', { server: ways[0], hosts: [ways[1].host], allow: AWAY });
  const elsewhere = await cat.context.newPage();
  await elsewhere.goto(ways[1].url);
  await elsewhere.getByRole('log', { name: 'Messages in general' }).waitFor();
  await cat.page.bringToFront();
  await cat.signOut('Cat');
  await elsewhere.getByText('You were signed out.').waitFor();

  // Bob's server is killed, and he is led to the other one. He loses no line, and none is there twice.
  await servers[1].kill();
  await ann.say('while Bob is away');
  await bob.say('Bob meanwhile');
  ways[1].server = servers[0];
  for (const person of [ann, bob]) {
    await person.sees('while Bob is away');
    await person.sees('Bob meanwhile');
    await person.isSent();
  }
  await ann.page.getByRole('button', { name: '2 members online' }).waitFor();
  const seen = await ann.transcript();
  assert.deepEqual(seen.map(({ text }) => text).toSorted(), ['@Bob, look', 'Bob meanwhile', 'while Bob is away']);
  assert.deepEqual(await bob.transcript(), seen);
});
