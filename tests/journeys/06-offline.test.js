import assert from 'node:assert/strict';
import { journey } from './journey.js';
import { Network } from './network.js';

journey(
  'what is written offline outlives a reload and arrives once and in order, though an ack is lost',
  async ({ browser }) => {
    const ann = await browser.person();
    const bob = await browser.person();
    const network = await Network.of(ann);
    await ann.join('Ann');
    await ann.isIn('general');
    await bob.join('Bob');
    await bob.isIn('general');
    await ann.say('before');
    await ann.isSent();

    network.cut();
    for (const text of ['one', 'two', 'three']) {
      await ann.say(text);
      await ann.page.locator('article.pending').filter({ hasText: text }).waitFor();
    }
    await ann.page.getByText('You are offline.').waitFor();
    await ann.page.reload();
    await ann.page.getByText('You are offline.').waitFor();
    for (const text of ['one', 'two', 'three']) await ann.page.locator('article').filter({ hasText: text }).waitFor();
    network.loses = 1;
    const tryNow = await ann.page.getByRole('button', { name: 'Try now' }).elementHandle();
    network.mend();
    // The button is gone if the client has just tried by itself.
    await tryNow.evaluate((button) => button.click());
    // After so many failures the next pause may be long; the system's word that the network is back ends it.
    await ann.page.waitForFunction(
      () => {
        dispatchEvent(new Event('online'));
        return !document.querySelector('article.pending, article.failed');
      },
      undefined,
      { polling: 500, timeout: 30_000 },
    );

    for (const person of [ann, bob]) {
      await person.sees('three');
      await person.isSent();
      assert.deepEqual(
        (await person.transcript()).map(({ text }) => text),
        ['before', 'one', 'two', 'three'],
      );
    }
    assert.equal(network.loses, 0);
  },
);

journey('a message without an answer can be tried again or deleted', async ({ browser }) => {
  const ann = await browser.person();
  const network = await Network.of(ann);
  await ann.join('Ann');
  await ann.isIn('general');
  network.cut();
  await ann.say('keep');
  await ann.say('drop');
  const failed = (text) => ann.page.locator('article.failed').filter({ hasText: text });
  await failed('keep').waitFor();
  await failed('drop').getByRole('button', { name: 'Delete' }).click();
  await failed('drop').waitFor({ state: 'detached' });
  await ann.isOn(ann.field);
  await failed('keep').getByRole('button', { name: 'Retry' }).click();
  await ann.page.locator('article.pending').filter({ hasText: 'keep' }).waitFor();
  network.mend();
  await ann.isSent();
  assert.deepEqual(
    (await ann.transcript()).map(({ text }) => text),
    ['keep'],
  );
});

journey('offline, what is loaded can be read, and what is not says what it needs', async ({ browser }) => {
  const ann = await browser.person();
  const network = await Network.of(ann);
  await ann.join('Ann');
  await ann.isIn('general');
  await ann.fill('general', 150);
  // The socket that wrote them is another one than the chat's.
  await ann.page.reload();
  await ann.counts(100);
  network.cut();
  await ann.page.getByText('You are offline.').waitFor();
  await ann.log.evaluate((log) => (log.scrollTop = 0));
  await ann.page.getByRole('status').filter({ hasText: 'Loading more messages needs a connection.' }).waitFor();
  await ann.page.evaluate(() => (location.hash = '#/c/general/7'));
  await ann.page.getByRole('alert').filter({ hasText: 'Showing that message needs a connection.' }).waitFor();
  assert.equal((await ann.transcript()).at(0).text, 'line 51');
  network.mend();
  await ann.page.evaluate(() => dispatchEvent(new Event('online')));
  await ann.page.locator('article[data-seq="1"]').waitFor({ state: 'attached' });
  await ann.page.getByText('Loading more messages needs a connection.').waitFor({ state: 'hidden' });
});

journey('a browser that keeps nothing says so once, and sends all the same', async ({ browser }) => {
  const ann = await browser.person();
  await ann.context.addInitScript(() => {
    IDBFactory.prototype.open = () => {
      throw new DOMException('not here', 'SecurityError');
    };
  });
  await ann.join('Ann');
  await ann.isIn('general');
  await ann.say('one');
  const said = ann.page.getByRole('alert').filter({ hasText: 'This browser stores nothing' });
  await said.waitFor();
  await ann.say('two');
  await ann.isSent();
  assert.equal(await said.count(), 1);
  assert.deepEqual(
    (await ann.transcript()).map(({ text }) => text),
    ['one', 'two'],
  );
  await ann.page.reload();
  await ann.sees('two');
  assert.equal(await ann.field.inputValue(), '');
});
