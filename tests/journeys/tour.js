import { picture } from './picture.js';

/** What a phone is to a browser. */
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

const CODE =
  'A retry is safe, since the **nonce** stays the same:\n```rust\nlet sent = client.publish("general", Draft::text("Hello").nonce(nonce)).await?;\nprintln!("{} is on the disk", sent.seq);\n```';

/**
 * A small team at work, at a desk and on a phone: brings both pages into each main state, one after the other.
 * @param {{browser: import('./browser.js').Browser, server: import('./server.js').Server}} world
 * @param {(person: import('./person.js').Person, state: string) => Promise<void>} look is called in each state
 */
export async function tour({ browser, server }, look) {
  // The server is killed on the way, which a browser writes into its console.
  const allow = [/WebSocket|ERR_CONNECTION|Failed to load|409/u];
  const ann = await browser.person({ allow });
  const bob = await browser.person({ allow, ...PHONE });
  const team = { ann, bob, mira: await browser.person({ allow }), look, server };
  await arrive(team);
  await talk(team);
  await use(team);
  await find(team);
  await confide(team);
  await lose(team);
}

/** The sign-in page, a channel without messages. */
async function arrive({ ann, bob, mira, look }) {
  await ann.join('Ann Lindqvist');
  await ann.isIn('general');
  await look(ann, 'empty-channel');
  await bob.visit();
  await look(bob, 'sign-in');
  await bob.tryToJoin('ann lindqvist');
  await bob.page.getByRole('alert').filter({ hasText: 'taken' }).waitFor();
  await look(bob, 'sign-in-refused');
  await bob.tryToJoin('Bob Okafor');
  await bob.listed('general').tap();
  await bob.isIn('general');
  await look(bob, 'empty-channel');
  await mira.visit();
  await look(mira, 'sign-in');
  await mira.tryToJoin('Mira Sato');
  await mira.isIn('general');
  for (const [name, topic] of [
    ['design', 'Sketches, screens, words'],
    ['releases', 'What goes out, and when'],
    ['rust', ''],
    ['garden', 'Tomatoes and other long-running processes'],
  ])
    await mira.createChannel(name, topic);
  // What is new to somebody is what they have joined.
  await ann.enter('design');
  await bob.enter('design');
  for (const person of [ann, mira]) await person.open('releases');
  await bob.page.getByRole('link', { name: 'All channels' }).tap();
  await bob.listed('releases').tap();
  await bob.isIn('releases');
}

/** A channel with all that a message can be. */
async function talk({ ann, bob, mira, look }) {
  await mira.send('Morning! The notes for 2.4 are ready to read: https://example.org/notes/2.4');
  await ann.send(
    'Lovely, thank you. Two things are left before we can tag it:\n- the upgrade guide\n- a word about `retry_ms` for people who write their own client',
  );
  await bob.send('I took the second one. Does this say enough?');
  await bob.send(CODE);
  await reply(
    mira,
    'I took the second one. Does this say enough?',
    'It does. I would only say **why** the nonce matters.',
  );
  await react(ann, 'It does. I would only say why the nonce matters.', '👍');
  await react(bob, 'It does. I would only say why the nonce matters.', '👍');
  await mira.send('Wrong channel, sorry.');
  await (await actionsOf(mira, 'Wrong channel')).getByRole('button', { name: 'Delete' }).click();
  await ann.page.getByText('This message was deleted.').waitFor();
  const guide = {
    name: 'Upgrade guide, second draft.pdf',
    mimeType: 'application/pdf',
    buffer: Buffer.from('%PDF-1.4\n'.padEnd(131_072, ' ')),
  };
  await attach(bob, [await picture(bob), guide], 2);
  await look(bob, 'attachments-ready');
  await bob.send('The guide, and the view from the train 🌄');
  for (const person of [ann, bob])
    await person.page.waitForFunction(() => document.querySelector('[role=log] img')?.complete);
  await react(mira, 'The guide, and the view from the train 🌄', '❤️');
  await react(ann, 'The guide, and the view from the train 🌄', '❤️');
  await ann.page.mouse.move(10, 400);
  await mira.field.pressSequentially('Reading it n');
  await ann.page.getByText('Mira Sato is typing…').waitFor();
  for (const person of [ann, bob]) await look(person, 'busy-channel');
}

/** What opens over a channel. */
async function use({ ann, bob, mira, look }) {
  const last = 'The guide, and the view from the train 🌄';
  await mira.field.fill('');
  await ann.message(last).hover();
  await ann.page.getByRole('toolbar').waitFor();
  await look(ann, 'message-actions');
  await bob.message(last).getByText(last).tap();
  await bob.page.getByRole('toolbar').waitFor();
  await look(bob, 'message-actions');
  await bob.message(last).getByText(last).tap();
  for (const person of [ann, bob]) {
    await person.press(person.page.getByRole('button', { name: 'Insert an emoji' }));
    await person.page.locator('.emoji-picker .emoji').first().waitFor();
    await look(person, 'emoji-picker');
    await person.page.keyboard.press('Escape');
    await person.field.fill('');
    await person.field.pressSequentially('@');
    await person.page.getByRole('listbox').getByRole('option').first().waitFor();
    await look(person, 'completion');
    await person.field.fill('');
    await person.press(person.page.getByRole('link', { name: /evening\.png/u }));
    await person.page.getByRole('dialog').waitFor();
    await look(person, 'picture');
    await person.page.keyboard.press('Escape');
  }
  await bob.page.getByRole('button', { name: /members? online/u }).tap();
  await bob.page.getByRole('heading', { name: /Online/u }).waitFor();
  await look(bob, 'members');
  await bob.page.getByRole('button', { name: /members? online/u }).tap();
}

/** Ways to a channel and to a message. */
async function find({ ann, bob, mira, look }) {
  await ann.open('garden');
  await bob.page.getByRole('link', { name: 'All channels' }).tap();
  await bob.listed('releases').waitFor();
  await mira.send('@Ann Lindqvist @Bob Okafor the guide reads well. Shall we tag it at three?');
  await mira.open('design');
  await mira.send('New colours for the dark theme are in the file.');
  await ann.page.getByRole('link', { name: 'releases 1 unread, 1 mention' }).waitFor();
  for (const person of [ann, bob]) await person.listed('design 1 unread').waitFor();
  await ann.page.getByRole('button', { name: 'Ann Lindqvist' }).click();
  await look(ann, 'unread-and-menu');
  await look(bob, 'channels');
  await ann.page.keyboard.press('Escape');
  for (const person of [ann, bob]) {
    await person.page.keyboard.press('Control+k');
    await person.page.getByRole('dialog', { name: 'Go to a channel' }).waitFor();
    await look(person, 'switcher');
    await person.page.keyboard.press('Escape');
    await person.page.keyboard.press('Control+/');
    await person.page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
    await look(person, 'help');
    await person.page.keyboard.press('Escape');
    await person.tryToCreate('Rust');
    await person.page.getByText('#rust exists already.').waitFor();
    await look(person, 'name-taken');
    await person.page.keyboard.press('Escape');
    await person.open('releases');
    await person.press(person.page.getByRole('button', { name: 'Search', exact: true }));
    await person.page.getByRole('searchbox').fill('guide');
    await person.page.keyboard.press('Enter');
    await person.page.locator('chat-search').getByRole('status').filter({ hasText: 'results' }).waitFor();
    await look(person, 'search');
    const found = person.page.locator('chat-search').getByRole('link').last();
    await person.press(found);
    await person.page.locator('article.target').waitFor();
  }
  await ann.page.getByRole('button', { name: 'Close search' }).click();
}

/** What only some people read, and who they are. */
async function confide({ ann, bob, look }) {
  const create = (person) => person.press(person.page.getByRole('button', { name: 'Create a channel' }).first());
  await bob.page.getByRole('link', { name: 'All channels' }).tap();
  for (const person of [ann, bob]) {
    await create(person);
    await person.page.getByLabel('Private').check();
    await look(person, 'create-private');
    await person.page.keyboard.press('Escape');
  }
  await ann.createPrivate('Launch plans', ['Bob Okafor']);
  await ann.send('The two of us know it first.');
  await bob.listed('Launch plans').tap();
  await bob.isIn('Launch plans');
  await bob.sees('The two of us know it first.');
  await ann.field.pressSequentially('@mi');
  await ann.page.getByRole('option').filter({ hasText: 'can’t read this channel' }).waitFor();
  await look(ann, 'completion-outside');
  await ann.page.keyboard.press('Enter');
  await ann.page.getByRole('button', { name: 'Add Mira Sato' }).waitFor();
  await look(ann, 'mentioned-outside');
  await ann.page.getByRole('button', { name: 'Add Mira Sato' }).click();
  await ann.send('welcome aboard');
  for (const person of [ann, bob]) {
    await person.note(/added Mira Sato/u).waitFor();
    await look(person, 'private-channel');
    const details = await person.details();
    await details.getByText('3 people').waitFor();
    await look(person, 'details');
    await details.getByRole('button', { name: 'Leave', exact: true }).click();
    await details.getByRole('button', { name: 'Leave it' }).waitFor();
    await look(person, 'details-question');
    await person.page.keyboard.press('Escape');
  }
  await write({ ann, bob, look });
  await ann.open('Launch plans');
  const details = await ann.details();
  await details.getByRole('button', { name: 'Archive', exact: true }).click();
  await details.getByRole('button', { name: 'Archive it' }).click();
  await details.getByRole('button', { name: 'Restore' }).waitFor();
  await ann.page.keyboard.press('Escape');
  await bob.listed('Launch plans').waitFor({ state: 'detached' });
  for (const person of [ann, bob]) {
    await person.page.evaluate(() => (location.hash = document.querySelector('a[href^="#/c/general"]').hash));
    await person.isIn('general');
  }
}

/** Direct messages, and looking through all that there is. */
async function write({ ann, bob, look }) {
  await bob.page.getByRole('link', { name: 'All channels' }).tap();
  for (const person of [ann, bob]) {
    await person.press(person.page.getByRole('button', { name: 'New message' }));
    const dialog = person.page.getByRole('dialog', { name: 'New message' });
    await person.choose(dialog, 'To: a name', 'Mira Sato');
    await look(person, 'new-message');
    await person.press(dialog.getByRole('button', { name: 'Write a message' }));
    await person.isIn('Mira Sato');
    await person.send('Do you have a minute?');
    await look(person, 'direct-channel');
  }
  await bob.page.getByRole('link', { name: 'All channels' }).tap();
  await look(bob, 'direct-channels');
  for (const person of [ann, bob]) {
    await person.press(person.page.getByRole('button', { name: 'Browse channels' }));
    const browse = person.page.getByRole('dialog', { name: 'Browse channels' });
    await browse.getByRole('button', { name: /^garden/u }).waitFor();
    await look(person, 'browse');
    await person.page.keyboard.press('Escape');
  }
  await ann.page.getByRole('button', { name: 'Search', exact: true }).click();
  await ann.page.getByLabel('Where to search').selectOption('All channels');
  await ann.page.getByRole('searchbox').fill('the');
  await ann.page.keyboard.press('Enter');
  await ann.page.locator('chat-search').getByRole('status').filter({ hasText: 'result' }).waitFor();
  await look(ann, 'search-all');
  await ann.page.getByRole('button', { name: 'Close search' }).click();
}

/** Without a connection. */
async function lose({ ann, bob, look, server }) {
  await server.kill();
  await ann.say('This one waits for the connection.');
  for (const person of [ann, bob]) {
    await person.page.getByText('You are offline.').waitFor();
    await look(person, 'offline');
  }
  await ann.page.getByText('Not sent.').waitFor();
  await look(ann, 'not-sent');
}

/** Brings the toolbar of a message, by hand. */
async function actionsOf(person, text) {
  const message = person.messages.filter({ hasText: text }).last();
  await message.scrollIntoViewIfNeeded();
  if (await person.isTouching()) await message.locator('.text').tap();
  else await message.hover();
  return message.getByRole('toolbar');
}

async function reply(person, to, text) {
  await (await actionsOf(person, to)).getByRole('button', { name: 'Reply' }).click();
  await person.send(text);
}

async function react(person, to, emoji) {
  const bar = await actionsOf(person, to);
  await person.press(bar.getByRole('button', { name: `React with ${emoji}` }));
  await person.messages
    .filter({ hasText: to })
    .last()
    .getByRole('button', { name: new RegExp(`^${emoji} .*you`, 'u') })
    .waitFor();
}

async function attach(person, files, count) {
  const [chooser] = await Promise.all([
    person.page.waitForEvent('filechooser'),
    person.press(person.page.getByRole('button', { name: 'Attach files' })),
  ]);
  await chooser.setFiles(files);
  await person.page.waitForFunction((wanted) => document.querySelectorAll('.upload.done').length === wanted, count);
}
