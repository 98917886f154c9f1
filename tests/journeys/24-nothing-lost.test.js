import assert from 'node:assert/strict';
import { serveEmoji } from './emoji.js';
import { journey } from './journey.js';

const tray = (person) => person.page.locator('chat-composer').getByRole('list', { name: 'Attachments' });

/** Picks files for the next message. */
async function attach(person, ...names) {
  const files = names.map((name) => ({ name, mimeType: 'text/plain', buffer: Buffer.from(`this is ${name}\n`) }));
  await person.page.locator('chat-composer input[type=file]').setInputFiles(files);
}

/** Holds the next uploads back until they are let go, or fail; those after that go through. */
async function holdUploads(person) {
  let end;
  let ask;
  const held = new Promise((resolve) => (end = resolve));
  const asked = new Promise((resolve) => (ask = resolve));
  let ended = false;
  await person.page.route('**/attachments?*', async (route) => {
    ask();
    if (ended || (await held)) await route.continue();
    else await route.abort();
  });
  const settle = async (well) => {
    await asked;
    end(well);
    ended = true;
  };
  return { letGo: () => settle(true), fail: () => settle(false), holdNoMore: () => (ended = true) };
}

journey('a message whose file was not uploaded stays in the field', async ({ browser }) => {
  const ann = await browser.joined('Ann', { allow: [/ERR_FAILED/u] });
  const uploads = await holdUploads(ann);
  await attach(ann, 'plan.txt');
  await uploads.fail();
  await tray(ann).getByRole('button', { name: 'Retry' }).waitFor();
  await ann.say('The plan');
  assert.equal(await ann.field.inputValue(), 'The plan');
  assert.equal(await ann.messages.count(), 0);
  assert.match(await ann.field.evaluate((field) => field.validationMessage), /“plan\.txt” was not uploaded/u);
  await tray(ann).getByText('The upload was interrupted.').waitFor();

  await tray(ann).getByRole('button', { name: 'Retry' }).click();
  await ann.page.locator('.upload.done').waitFor();
  await ann.say('The plan');
  await ann.message('The plan').getByRole('link', { name: 'Download plan.txt' }).waitFor();
});

journey('a message with a file that is too large waits for a decision', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.page.evaluate(() => {
    const data = new DataTransfer();
    const large = new File(['x'], 'large.bin');
    Object.defineProperty(large, 'size', { value: 2 ** 40 });
    Object.defineProperty(data, 'files', { value: [large] });
    document.querySelector('chat-composer').attach(data.files);
  });
  await tray(ann).getByText('is too large.').waitFor();
  await ann.say('with the file');
  assert.equal(await ann.field.inputValue(), 'with the file');
  await tray(ann).getByText('is too large.').waitFor();
  await tray(ann).getByRole('button', { name: 'Dismiss large.bin' }).click();
  await ann.say('without the file');
  await ann.sees('without the file');
});

journey('a message sent during an upload goes with its file, in order', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const bob = await browser.joined('Bob');
  const uploads = await holdUploads(ann);
  await attach(ann, 'plan.txt');
  await ann.say('The plan');
  // The field is free for the next message, which keeps its place.
  assert.equal(await ann.field.inputValue(), '');
  await ann.say('What do you think?');
  await ann.message('The plan').getByText('Will be sent once its files are uploaded.').waitFor();
  await ann.message('The plan').getByRole('progressbar', { name: 'Upload of plan.txt' }).waitFor();
  await ann.isDrawn();
  assert.equal(await bob.messages.count(), 0);
  await uploads.letGo();
  await bob.sees('What do you think?');
  await ann.isSent();
  assert.deepEqual(
    (await bob.transcript()).map(({ text }) => text),
    ['The plan', 'What do you think?'],
  );
  await bob.message('The plan').getByRole('link', { name: 'Download plan.txt' }).waitFor();
  assert.equal(await ann.page.locator('article .upload').count(), 0);
});

journey('a message that waits for its file outlives a reload', async ({ browser }) => {
  const ann = await browser.joined('Ann', { allow: [/ERR_/u] });
  const bob = await browser.joined('Bob');
  const uploads = await holdUploads(ann);
  await attach(ann, 'plan.txt');
  await ann.say('The plan');
  await ann.say('What do you think?');
  await ann.message('The plan').getByRole('progressbar').waitFor();
  // Until the browser has kept the second, it has kept the first.
  await ann.page.waitForFunction(() => Object.keys(localStorage).every((key) => !key.startsWith('chatcore.draft.')));
  uploads.holdNoMore();
  await ann.page.reload();
  await ann.isIn('general');
  await bob.sees('What do you think?');
  assert.deepEqual(
    (await bob.transcript()).map(({ text }) => text),
    ['The plan', 'What do you think?'],
  );
  await bob.message('The plan').getByRole('link', { name: 'Download plan.txt' }).waitFor();
  await ann.isSent();
  assert.equal(await ann.field.inputValue(), '');
});

journey('a message whose file fails on the way is kept to try again', async ({ browser }) => {
  const ann = await browser.joined('Ann', { allow: [/ERR_FAILED/u] });
  const uploads = await holdUploads(ann);
  await attach(ann, 'plan.txt');
  await ann.say('The plan');
  await uploads.fail();
  const message = ann.message('The plan');
  await message.getByText('Not sent: “plan.txt” was not uploaded.').waitFor();
  await message.locator('.failure').getByRole('button', { name: 'Retry' }).click();
  await message.getByRole('link', { name: 'Download plan.txt' }).waitFor();
  await ann.isSent();
});

/** Pastes or drops as a browser would, with its own way of writing text that is not taken. @returns {Promise<boolean>} whether it was used up */
function give(person, how, { text = '', html = '', files = [] }) {
  return person.page.evaluate(
    ([event, plain, rich, list]) => {
      const data = new DataTransfer();
      if (plain) data.setData('text/plain', plain);
      if (rich) data.setData('text/html', rich);
      for (const name of list) data.items.add(new File(['x'], name, { type: 'image/png' }));
      const field = document.querySelector('chat-composer textarea');
      field.focus();
      const options = { bubbles: true, cancelable: true };
      const dropped = new DragEvent('drop', { ...options, dataTransfer: data });
      const given = event === 'paste' ? new ClipboardEvent('paste', { ...options, clipboardData: data }) : dropped;
      if (field.dispatchEvent(given) && plain) document.execCommand('insertText', false, plain);
      return given.defaultPrevented;
    },
    [how, text, html, files],
  );
}

journey('a paste from an office program writes its text', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const cells = { text: 'Name\tAge\nBob\t7', html: '<table><tr><td>Name</td></tr></table>', files: ['image.png'] };
  assert.equal(await give(ann, 'paste', cells), false);
  assert.equal(await ann.field.inputValue(), cells.text);
  await tray(ann).waitFor({ state: 'hidden' });

  // A picture within the text is a part of it, and a file by its name is the file alone.
  await ann.field.fill('');
  await give(ann, 'paste', { text: 'The plan', html: '<p>The plan<img src="x.png"></p>', files: ['image.png'] });
  assert.equal(await ann.field.inputValue(), 'The plan');
  await tray(ann).getByText('image.png').waitFor();
  assert.equal(await give(ann, 'paste', { text: 'file:///home/ann/my%20plan.png', files: ['my plan.png'] }), true);
  assert.equal(await ann.field.inputValue(), 'The plan');
  await tray(ann).getByText('my plan.png').waitFor();
});

journey('a drop of text and a picture writes and attaches', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await give(ann, 'drop', { text: 'The plan', files: ['plan.png'] });
  assert.equal(await ann.field.inputValue(), 'The plan');
  await tray(ann).getByText('plan.png').waitFor();
});

journey('a picture that can not be attached says so, and text is pasted', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.say('first');
  await ann.isSent();
  await ann.field.press('ArrowUp');
  assert.equal(await give(ann, 'paste', { files: ['plan.png'] }), false);
  assert.match(await ann.field.evaluate((field) => field.validationMessage), /can’t be attached here/u);
  await give(ann, 'paste', { text: ' and last', files: ['plan.png'] });
  assert.equal(await ann.field.inputValue(), 'first and last');
});

journey('Enter sends what only looks like an emoji or a name', async ({ browser }) => {
  const ann = await browser.person();
  await serveEmoji(ann);
  await ann.join('Ann');
  await ann.isIn('general');
  const { keyboard } = ann.page;
  await ann.field.click();
  // The names are there from here on.
  await keyboard.type(':cat');
  await ann.page.getByRole('listbox', { name: 'Suggestions' }).waitFor();
  await keyboard.press('Enter');
  assert.equal(await ann.field.inputValue(), '🐱 ');
  await ann.field.fill('');
  const texts = [':-D', ':DD', ':-P', 'so :10', 'see you @', '`x :cat', 'medium.com/@a'];
  for (const text of texts) {
    await keyboard.type(text);
    await ann.isDrawn();
    await keyboard.press('Enter');
    assert.equal(await ann.field.inputValue(), '', text);
  }
  await ann.isSent();
  assert.deepEqual(
    (await ann.transcript()).map(({ text }) => text),
    texts,
  );
});

journey('Enter makes a new line in open code, and sends closed code', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const { keyboard } = ann.page;
  await ann.field.click();
  for (const line of ['```js', 'let a = 1;', '```']) {
    await keyboard.type(line);
    await keyboard.press('Enter');
  }
  await ann.isSent();
  assert.equal(await ann.page.locator('article pre').textContent(), 'let a = 1;');
  assert.equal(await ann.field.inputValue(), '');
  await keyboard.type('```');
  await keyboard.press('Enter');
  await keyboard.type('x');
  await keyboard.press('Control+Enter');
  await ann.isDrawn();
  assert.equal(await ann.field.inputValue(), '');
});

journey('a draft keeps its reply, edit and files over channels and reloads', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.createChannel('b');
  await ann.open('general');
  await ann.say('Which one?');
  await ann.isSent();
  const act = async (name) => {
    await ann.messages.first().hover();
    await ann.page.getByRole('toolbar', { name: 'Message actions' }).getByRole('button', { name, exact: true }).click();
  };
  await act('Reply');
  await ann.field.fill('The second');
  await attach(ann, 'plan.txt');
  await ann.page.locator('.upload.done').waitFor();
  await act('Edit');
  await ann.field.fill('Which one, and why?');
  const isAsLeft = async () => {
    await ann.page.getByText('Editing your message').waitFor();
    assert.equal(await ann.field.inputValue(), 'Which one, and why?');
  };
  await ann.open('b');
  assert.equal(await ann.field.inputValue(), '');
  await ann.open('general');
  await isAsLeft();
  await ann.page.reload();
  await ann.isIn('general');
  await isAsLeft();
  await ann.field.press('Enter');
  await ann.sees('Which one, and why? (edited)');
  await ann.page.getByText('Replying to Ann').waitFor();
  assert.equal(await ann.field.inputValue(), 'The second');
  await ann.page.reload();
  await ann.isIn('general');
  await ann.page.getByText('Replying to Ann').waitFor();
  await tray(ann).getByText('plan.txt').waitFor();
  await ann.field.press('Enter');
  const reply = ann.message('The second');
  await reply.getByRole('link', { name: 'Download plan.txt' }).waitFor();
  await reply.getByRole('link', { name: /In reply to Ann/u }).waitFor();
  await tray(ann).waitFor({ state: 'hidden' });
});

journey('a file that was not yet uploaded is missed after a reload', async ({ browser }) => {
  const ann = await browser.joined('Ann', { allow: [/ERR_FAILED/u] });
  await holdUploads(ann);
  await ann.field.fill('The plan');
  await attach(ann, 'plan.txt');
  await ann.page.reload();
  await ann.isIn('general');
  assert.equal(await ann.field.inputValue(), 'The plan');
  await tray(ann).getByText('The page was closed before it was uploaded. Choose it again.').waitFor();
  await ann.field.press('Enter');
  await ann.isDrawn();
  assert.equal(await ann.messages.count(), 0);
});

journey('a send in one tab leaves the draft of another alone', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const second = await ann.context.newPage();
  await second.goto(`${ann.server.url}/#/c/general`);
  const field = second.getByRole('textbox', { name: 'Message #general' });
  await field.fill('in the second');
  await ann.field.fill('in the first');
  await ann.field.press('Enter');
  await ann.isDrawn();
  await ann.isSent();
  assert.equal(await field.inputValue(), 'in the second');
  await second.reload();
  await field.waitFor();
  assert.equal(await field.inputValue(), 'in the second');
  await second.close();
  const third = await ann.context.newPage();
  await third.goto(`${ann.server.url}/#/c/general`);
  await third.getByRole('textbox', { name: 'Message #general' }).waitFor();
  assert.equal(await third.getByRole('textbox', { name: 'Message #general' }).inputValue(), 'in the second');
});
