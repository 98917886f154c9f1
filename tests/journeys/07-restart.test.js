import assert from 'node:assert/strict';
import { journey } from './journey.js';

/** What Chromium itself logs while nobody listens. */
const NOBODY_LISTENS = [
  /^WebSocket connection to 'ws:\/\/127\.0\.0\.1:\d+\/chat\/ws' failed: /u,
  /^Failed to load resource: net::ERR_(?:CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE) \S+\/chat\/identity$/u,
];

journey('a server that is killed and started again loses and doubles nothing', async ({ server, browser }) => {
  const ann = await browser.person({ allow: NOBODY_LISTENS });
  const bob = await browser.person({ allow: NOBODY_LISTENS });
  await ann.join('Ann');
  await ann.isIn('general');
  await bob.join('Bob');
  await bob.isIn('general');
  for (let count = 1; count <= 5; count++) {
    await ann.say(`Ann before ${count}`);
    await bob.say(`Bob before ${count}`);
  }
  await ann.isSent();
  await bob.isSent();
  await ann.counts(10);
  const acknowledged = await ann.transcript();

  await bob.field.fill('half a thou');
  const killed = server.kill();
  for (let count = 1; count <= 3; count++) await ann.say(`Ann meanwhile ${count}`);
  await killed;
  await ann.page.getByText('You are offline.').waitFor();
  await bob.page.getByRole('button', { name: 'Try now' }).waitFor();
  await server.restart();

  for (const person of [ann, bob]) {
    await person.sees('Ann meanwhile 3');
    await person.isSent();
    await person.page.getByText('You are offline.').waitFor({ state: 'hidden' });
  }
  assert.equal(await bob.field.inputValue(), 'half a thou');
  await bob.field.press('End');
  await bob.field.pressSequentially('ght');
  await bob.field.press('Enter');
  await ann.sees('half a thought');
  await bob.isSent();

  const seen = await ann.transcript();
  assert.deepEqual(seen.slice(0, 10), acknowledged);
  const after = ['Ann meanwhile 1', 'Ann meanwhile 2', 'Ann meanwhile 3', 'half a thought'];
  assert.deepEqual(
    seen.slice(10).map(({ text }) => text),
    after,
  );
  assert.deepEqual(await bob.transcript(), seen);
  await bob.page.reload();
  await bob.counts(14);
  assert.deepEqual(await bob.transcript(), seen);
});
