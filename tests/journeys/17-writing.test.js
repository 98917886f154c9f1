import assert from 'node:assert/strict';
import { serveEmoji } from './emoji.js';
import { journey } from './journey.js';

journey('names and emoji are completed, and picked', async ({ browser }) => {
  const ann = await browser.person();
  const bob = await browser.person();
  await serveEmoji(ann);
  const asked = [];
  ann.page.on('request', (request) => request.url().endsWith('emoji.json') && asked.push(request.url()));
  await ann.join('Ann');
  await ann.isIn('general');
  await bob.join('Bob Björk');
  await bob.isIn('general');
  await ann.page.getByRole('button', { name: '2 members online' }).waitFor();
  const { keyboard } = ann.page;
  const offers = ann.page.getByRole('listbox', { name: 'Suggestions' });

  await ann.field.click();
  await keyboard.type('Hi @b');
  await offers.getByRole('option', { name: 'Bob Björk' }).waitFor();
  assert.equal(
    await ann.field.getAttribute('aria-activedescendant'),
    await offers.getByRole('option', { selected: true }).getAttribute('id'),
  );
  await keyboard.press('Enter');
  assert.equal(await ann.field.inputValue(), 'Hi @Bob Björk ');
  await offers.waitFor({ state: 'hidden' });

  assert.deepEqual(asked, []);
  await keyboard.type('mail me@bob.test 10:30:45 :thumbs');
  await offers.getByRole('option').nth(1).waitFor();
  await keyboard.press('ArrowDown');
  await keyboard.press('Tab');
  assert.equal(await ann.field.inputValue(), 'Hi @Bob Björk mail me@bob.test 10:30:45 👎 ');
  await keyboard.type(':cat');
  await offers.waitFor();
  await keyboard.press('Escape');
  await offers.waitFor({ state: 'hidden' });
  await keyboard.type(': ');

  await ann.page.getByRole('button', { name: 'Insert an emoji' }).click();
  const picker = ann.page.getByRole('dialog', { name: 'Emoji' });
  await picker.getByRole('group', { name: 'Animals & Nature' }).waitFor();
  await keyboard.type('crab');
  await keyboard.press('Enter');
  await picker.waitFor({ state: 'detached' });
  assert.equal(await ann.field.inputValue(), 'Hi @Bob Björk mail me@bob.test 10:30:45 👎 :cat: 🦀');
  await keyboard.press('Enter');
  await ann.isDrawn();
  await ann.isSent();
  await bob.page.locator('.mention.own').waitFor();
  assert.equal(
    await ann.page.locator('article .text').textContent(),
    'Hi @Bob Björk mail me@bob.test 10:30:45 👎 🐱 🦀',
  );
  assert.equal(asked.length, 1);

  // What was used last comes first.
  await ann.page.getByRole('button', { name: 'Insert an emoji' }).click();
  assert.equal(await picker.getByRole('group', { name: 'Recent' }).getByRole('button').first().textContent(), '🦀');
  await keyboard.press('Escape');
  await picker.waitFor({ state: 'detached' });
});

journey(
  'a reply quotes its original and leads to it; a deletion is undone, or done by leaving',
  async ({ browser }) => {
    const ann = await browser.joined('Ann');
    const bob = await browser.joined('Bob');
    await ann.say('**Which** `one`?\nThe first or the second?');
    await bob.messages.first().hover();
    await bob.page.getByRole('toolbar', { name: 'Message actions' }).getByRole('button', { name: 'Reply' }).click();
    await bob.page.getByText('Replying to Ann Which one?').waitFor();
    await bob.say('The second');
    const quote = ann.log.getByRole('link', { name: 'In reply to Ann Which one?' });
    await quote.waitFor();
    await quote.click();
    await ann.page.waitForFunction(() => document.activeElement.matches('article.target[data-seq="1"]'));

    // Own messages only can be edited and deleted.
    const bar = ann.page.getByRole('toolbar', { name: 'Message actions' });
    await ann.message('The second').hover();
    assert.equal(await bar.getByRole('button', { name: 'Delete' }).isVisible(), false);
    await bar.getByRole('button', { name: 'React with 👍' }).click();
    await bob.page.getByRole('button', { name: '👍 1, Ann' }).click();
    await ann.page.getByRole('button', { name: '👍 2, you and Bob' }).click();
    await bob.page.getByRole('button', { name: '👍 1, you' }).waitFor();

    await ann.messages.first().hover();
    await bar.getByRole('button', { name: 'Delete' }).click();
    await ann.page.getByText('Deleted.').waitFor();
    await ann.page.getByRole('button', { name: 'Undo' }).click();
    await ann.messages.first().getByText('Which one?').waitFor();
    await ann.messages.first().hover();
    await bar.getByRole('button', { name: 'Delete' }).click();
    await ann.page.getByText('Deleted.').waitFor();
    await ann.page.goto('about:blank');
    // What did not get out before she went, her next page sends.
    await ann.visit();
    await bob.page.getByText('This message was deleted.').first().waitFor();
    await bob.log.getByRole('link', { name: 'In reply to Ann This message was deleted.' }).waitFor();
  },
);

journey('what is selected in a message stays selected when its ack comes, and a reaction', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const bob = await browser.joined('Bob');
  await bob.say('first');
  await ann.sees('first');
  ann.server.pause();
  await ann.say('Look:\n```\nlet a = 1;\n```');
  await ann.page.locator('article.pending pre').evaluate((code) => getSelection().selectAllChildren(code));
  ann.server.resume();
  await bob.log.locator('pre').hover();
  await bob.page
    .getByRole('toolbar', { name: 'Message actions' })
    .getByRole('button', { name: 'React with 👍' })
    .click();
  await ann.page.getByRole('button', { name: '👍 1, Bob' }).waitFor();
  assert.equal(await ann.page.evaluate(() => String(getSelection())), 'let a = 1;');
});

journey('an empty edit offers to delete, and a refused one is taken back', async ({ browser }) => {
  const ann = await browser.joined('Ann', { allow: [/ERR_CONNECTION/u] });
  await ann.say('first');
  await ann.isSent();
  await ann.field.fill('a draft');
  await ann.message('first').hover();
  await ann.page.getByRole('button', { name: 'Edit', exact: true }).click();
  await ann.field.fill('');
  await ann.field.press('Enter');
  await ann.page.getByRole('button', { name: 'Delete the message' }).waitFor();
  await ann.page.getByRole('button', { name: 'Cancel' }).click();
  assert.equal(await ann.field.inputValue(), 'a draft');

  await ann.server.kill();
  await ann.page.getByText('You are offline.').waitFor();
  await ann.message('first').hover();
  await ann.page.getByRole('button', { name: 'Edit', exact: true }).click();
  await ann.field.fill('second');
  await ann.page.getByRole('button', { name: 'Save' }).click();
  await ann.page.getByText('Not edited: there is no connection.').waitFor();
  await ann.message('first').waitFor();
  await ann.server.restart();
});

journey(
  'a draft is in sight as a whole when the window gets narrower, and takes no more room than it needs when it gets wider',
  async ({ browser }) => {
    const ann = await browser.joined('Ann');
    await ann.field.fill('a thought that goes on and on '.repeat(5));
    const height = () => ann.field.evaluate((field) => field.clientHeight);
    const wide = await height();
    await ann.resize(390, 800);
    await ann.page.waitForFunction((before) => {
      const { clientHeight, scrollHeight } = document.querySelector('chat-composer textarea');
      return clientHeight > before && scrollHeight === clientHeight;
    }, wide);
    await ann.resize(1280, 800);
    await ann.page.waitForFunction(
      (before) => document.querySelector('chat-composer textarea').clientHeight === before,
      wide,
    );
  },
);
