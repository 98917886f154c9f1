import assert from 'node:assert/strict';
import { journey } from './journey.js';

const EACH = 20;

journey(
  'two people who write at the same time see the same messages in the same order, also after a reload',
  async ({ browser }) => {
    const ann = await browser.joined('Ann');
    const bob = await browser.joined('Bob');

    const write = async (person, name) => {
      for (let count = 1; count <= EACH; count++) await person.say(`${name} ${count}`);
    };
    await Promise.all([write(ann, 'Ann'), write(bob, 'Bob')]);
    for (const person of [ann, bob]) {
      await person.counts(2 * EACH);
      await person.isSent();
    }

    const seen = await ann.transcript();
    assert.deepEqual(await bob.transcript(), seen);
    assert.equal(new Set(seen.map(({ text }) => text)).size, 2 * EACH);
    for (const name of ['Ann', 'Bob']) {
      const own = seen.filter(({ text }) => text.startsWith(name));
      assert.deepEqual(
        own.map(({ text }) => text),
        Array.from({ length: EACH }, (_, at) => `${name} ${at + 1}`),
      );
      assert.ok(own.every(({ who, time }) => who === name && /^\d\d?:\d\d/u.test(time)));
    }

    for (const person of [ann, bob]) {
      await person.page.reload();
      await person.counts(2 * EACH);
      assert.deepEqual(await person.transcript(), seen);
    }
  },
);
