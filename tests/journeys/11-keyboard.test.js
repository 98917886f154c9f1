import assert from 'node:assert/strict';
import { serveEmoji } from './emoji.js';
import { journey } from './journey.js';

/** Waits until the focus is where one writes in this channel. */
const isWritingIn = (person, name) =>
  person.page.waitForFunction(
    (wanted) => document.activeElement.getAttribute('aria-label') === `Message #${wanted}`,
    name,
  );

journey('by keys alone one gets around, and the focus is never lost', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const { page } = ann;
  for (const name of ['art', 'road-map', 'rust']) await ann.createChannel(name);
  const bob = await browser.person();
  await bob.join('Bob');
  await bob.enter('road-map');
  await bob.say('something new');
  await page.getByRole('link', { name: 'road-map 1 unread' }).waitFor();
  await page.bringToFront();
  await ann.field.focus();

  // What is unread is the first that is offered; a few letters find another one.
  await page.keyboard.press('Control+k');
  const switcher = page.getByRole('dialog', { name: 'Go to a channel' });
  const chosen = switcher.getByRole('option', { selected: true });
  assert.match(await chosen.textContent(), /^#road-map/u);
  await page.keyboard.press('Escape');
  await switcher.waitFor({ state: 'hidden' });
  await isWritingIn(ann, 'rust');
  await page.keyboard.press('Control+k');
  await page.keyboard.type('gnr');
  assert.match(await chosen.textContent(), /^#general/u);
  await page.keyboard.press('Enter');
  await ann.isIn('general');
  await isWritingIn(ann, 'general');

  // The list's order: art, general, road-map, rust.
  await page.keyboard.press('Alt+ArrowUp');
  await isWritingIn(ann, 'art');
  await page.keyboard.press('Alt+Shift+ArrowDown');
  await isWritingIn(ann, 'road-map');
  await page.keyboard.press('Alt+ArrowDown');
  await isWritingIn(ann, 'rust');
  await page.keyboard.press('Alt+ArrowDown');
  await isWritingIn(ann, 'art');

  // One that is not there is made.
  await page.keyboard.press('Control+k');
  await page.keyboard.type('New Place');
  await switcher.getByRole('option', { name: 'Create #new-place' }).waitFor();
  await page.keyboard.press('Enter');
  await isWritingIn(ann, 'new-place');
  await bob.listed('new-place').waitFor();

  // The help lists the keys; where somebody writes, a sign is a sign.
  await page.keyboard.type('what?');
  assert.equal(await ann.field.inputValue(), 'what?');
  await page.keyboard.press('Control+/');
  const help = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
  await help.getByText('Next unread channel').waitFor();
  await page.keyboard.press('Escape');
  await help.waitFor({ state: 'hidden' });
  await isWritingIn(ann, 'new-place');
  await ann.log.focus();
  await page.keyboard.press('?');
  await help.waitFor();
  await page.keyboard.press('Escape');
  await ann.isOn(ann.log);
});

/** What has the focus, as a person would call it. */
function focused(person) {
  return person.page.evaluate(() => {
    const { activeElement: one } = document;
    return one === document.body ? null : (one.getAttribute('aria-label') ?? one.textContent);
  });
}

journey('what is done to messages is done with the keyboard too', async ({ browser }) => {
  const ann = await browser.person();
  const bob = await browser.person();
  await serveEmoji(ann);
  await ann.join('Ann');
  await ann.isIn('general');
  await bob.join('Bob');
  await bob.isIn('general');
  const { keyboard } = ann.page;
  const press = async (...keys) => {
    for (const key of keys) {
      await keyboard.press(key);
      assert.notEqual(await focused(ann), null, `the focus is lost after ${key}`);
    }
  };

  // Send, then edit the last.
  assert.equal(await focused(ann), 'Message #general');
  await keyboard.type('One thnig');
  await press('Enter');
  await bob.sees('One thnig');
  await ann.isSent();
  await press('ArrowUp');
  await ann.page.getByText('Editing your message').waitFor();
  assert.equal(await ann.field.inputValue(), 'One thnig');
  await press('Escape');
  assert.equal(await ann.field.inputValue(), '');
  await press('ArrowUp', 'ControlOrMeta+a');
  await keyboard.type('One thing');
  await press('Enter');
  await bob.messages.getByText('One thing (edited)').waitFor();

  // Bold and slanted.
  await keyboard.type('so ');
  await press('ControlOrMeta+b');
  await keyboard.type('loud');
  assert.equal(await ann.field.inputValue(), 'so **loud**');
  await press('ControlOrMeta+b', 'ControlOrMeta+a', 'Delete');

  // React to what Bob says: from the log, by a key, with a search.
  await bob.say('Hello Ann');
  await ann.sees('Hello Ann');
  await press('Shift+Tab');
  for (let step = 0; (await ann.page.evaluate(() => document.activeElement.role)) !== 'log'; step += 1) {
    assert.ok(step < 20, 'Shift+Tab leads to the messages');
    await press('Shift+Tab');
  }
  await press('ArrowUp', '+');
  await ann.page.getByRole('dialog', { name: 'Emoji' }).waitFor();
  await keyboard.type('cra');
  await ann.page.getByRole('button', { name: 'crab' }).waitFor();
  await press('ArrowDown', 'Enter');
  await bob.page.getByRole('button', { name: '🦀 1, Ann' }).waitFor();
  assert.match(await focused(ann), /^Bob, /u);

  // Off again by the reaction itself; then the toolbar, whose arrow keys go round.
  await press('Tab');
  assert.equal(await focused(ann), '🦀 1, you');
  await press('Enter');
  await ann.page.getByRole('button', { name: '🦀 1, you' }).waitFor({ state: 'detached' });
  assert.match(await focused(ann), /^Bob, /u);
  await press('Tab');
  assert.equal(await focused(ann), 'React with 👍');
  await press('ArrowLeft');
  assert.equal(await focused(ann), 'Copy the link');
  await press('ArrowRight', 'Escape');
  assert.match(await focused(ann), /^Bob, /u);

  // Reply, and give it up.
  await press('r');
  await ann.page.getByText('Replying to Bob').waitFor();
  assert.equal(await focused(ann), 'Message #general');
  await press('Escape');
  await ann.page.getByText('Replying to Bob').waitFor({ state: 'detached' });

  // Delete, undo, delete for good.
  await press('Shift+Tab');
  for (let step = 0; (await ann.page.evaluate(() => document.activeElement.role)) !== 'log'; step += 1) {
    assert.ok(step < 20, 'Shift+Tab leads to the messages');
    await press('Shift+Tab');
  }
  await press('ArrowUp', 'ArrowUp', 'Delete');
  assert.equal(await focused(ann), 'Undo');
  await press('Enter');
  await ann.messages.getByText('One thing (edited)').waitFor();
  assert.match(await focused(ann), /^Ann, /u);
  await press('Delete');
  await bob.page.getByText('This message was deleted.').waitFor();
  await ann.page.getByText('This message was deleted.').waitFor();
  assert.match(await focused(ann), /^Ann, /u);
  await press('Escape');
  assert.equal(await focused(ann), 'Message #general');

  // The announcer spoke Bob's one message and nothing else.
  assert.deepEqual(await ann.page.locator('chat-announcer p').allTextContents(), ['Bob: Hello Ann']);
});
