import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { journey } from './journey.js';

/** Enter as Safari reports it for the end of a composition: after the composition, with the key code of an input method. */
const endComposition = (locator) =>
  locator.evaluate((field) => {
    field.dispatchEvent(new CompositionEvent('compositionend', { data: 'か', bubbles: true }));
    field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', keyCode: 229, bubbles: true, cancelable: true }));
  });

journey('the Enter that ends a composition chooses no channel and no emoji', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.page.keyboard.press('Control+k');
  const switcher = ann.page.getByRole('dialog', { name: 'Go to a channel' });
  await ann.page.keyboard.type('kana');
  await switcher.getByRole('option', { name: 'Create #kana' }).waitFor();
  await endComposition(switcher.getByRole('combobox'));
  assert.equal(await switcher.isVisible(), true);
  await ann.page.keyboard.press('Escape');
  await ann.page.getByRole('button', { name: 'Insert an emoji' }).click();
  const search = ann.page.getByRole('searchbox', { name: 'Search emoji' });
  await search.fill('tomato');
  await ann.page.getByRole('button', { name: 'tomato' }).waitFor();
  await endComposition(search);
  assert.equal(await ann.field.inputValue(), '');
  await search.press('Enter');
  assert.equal(await ann.field.inputValue(), '🍅');
  assert.equal(await ann.listed('kana').count(), 0);
});

journey('a dropped folder is named as one, and the file beside it is attached', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const folder = await mkdtemp(join(tmpdir(), 'chatcore-drop-'));
  try {
    await mkdir(join(folder, 'plants'));
    await writeFile(join(folder, 'leaf.txt'), 'leaf');
    const devtools = await ann.context.newCDPSession(ann.page);
    const data = { items: [], files: [join(folder, 'plants'), join(folder, 'leaf.txt')], dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver', 'drop'])
      await devtools.send('Input.dispatchDragEvent', { type, x: 700, y: 400, data });
    await ann.page
      .getByRole('listitem')
      .filter({ hasText: 'plants' })
      .getByText('This is a folder. Attach the files that are in it.')
      .waitFor();
    await ann.page.getByRole('button', { name: 'Remove leaf.txt' }).waitFor();
    await ann.page.getByRole('button', { name: 'Dismiss plants' }).click();
    await ann.page.getByRole('button', { name: 'Send' }).click();
    await ann.log.getByRole('link', { name: 'leaf.txt' }).waitFor();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

journey('a file’s name is read as it is spelt', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const [chooser] = await Promise.all([
    ann.page.waitForEvent('filechooser'),
    ann.page.getByRole('button', { name: 'Attach files' }).click(),
  ]);
  await chooser.setFiles({
    name: 'photo\u202egpj.exe',
    mimeType: 'application/octet-stream',
    buffer: Buffer.from('MZ'),
  });
  await ann.page.getByRole('button', { name: 'Remove photo_gpj.exe' }).waitFor();
  await ann.page.getByRole('button', { name: 'Send' }).click();
  const link = ann.log.getByRole('link', { name: 'photo_gpj.exe' });
  await link.waitFor();
  assert.doesNotMatch(await link.evaluate((one) => one.outerHTML), /\u202e/u);
});

journey('text is as large as the browser is set to show it', async ({ browser }) => {
  const profile = await browser.folder();
  await mkdir(join(profile, 'Default'));
  await writeFile(
    join(profile, 'Default', 'Preferences'),
    JSON.stringify({ webkit: { webprefs: { default_font_size: 32 } } }),
  );
  const sizes = async (options) => {
    const ann = await browser.person(options);
    await ann.join(options.profile ? 'Large' : 'Usual');
    await ann.isIn('general');
    await ann.say('Some words');
    await ann.isSent();
    return ann.page.evaluate(() => {
      const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const found = {};
      while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!element.checkVisibility() || texts.currentNode.data.trim() === '') continue;
        const name = `${element.localName}.${element.className.replace(/ hue-\d+/u, '')}`;
        found[name] = parseFloat(getComputedStyle(element).fontSize);
      }
      return {
        ...found,
        field: parseFloat(getComputedStyle(document.querySelector('chat-composer textarea')).fontSize),
      };
    });
  };
  const usual = await sizes({});
  const large = await sizes({ profile });
  assert.equal(usual['div.text'], 15);
  // A toolbar is there only beneath the pointer.
  const both = Object.keys(usual).filter((name) => name in large);
  for (const name of ['div.text', 'bdi.author', 'bdi.name', 'h2.', 'time.', 'field'])
    assert.ok(both.includes(name), name);
  for (const name of both) assert.equal(large[name], 2 * usual[name], name);
});

journey('shortcuts of a single sign are turned off for good', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const { page } = ann;
  await ann.say('mine');
  await ann.isSent();
  const search = page.getByRole('searchbox', { name: 'Search for' });
  const log = ann.log;
  await log.focus();
  await page.keyboard.press('?');
  const help = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
  await help.getByRole('checkbox', { name: /^Single keys/u }).uncheck();
  await page.keyboard.press('Escape');
  for (let loaded = 0; loaded < 2; loaded += 1) {
    await log.focus();
    await page.keyboard.press('/');
    await page.keyboard.press('?');
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('r');
    await ann.isDrawn();
    assert.deepEqual(
      [await search.isVisible(), await help.isVisible(), await page.getByText('Reply to').isVisible()],
      [false, false, false],
    );
    await page.reload();
    await ann.sees('mine');
  }
  await page.keyboard.press('Control+/');
  await help.getByRole('checkbox', { name: /^Single keys/u }).check();
  await page.keyboard.press('Escape');
  await log.focus();
  await page.keyboard.press('/');
  await search.waitFor();
});

journey('one key leads past sixty messages with links to where one writes', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const { page } = ann;
  await ann.fill('general', 60, 'https://example.org/');
  const where = () =>
    page.evaluate(
      () => document.activeElement.closest('chat-channels, chat-timeline, chat-composer, chat-search')?.localName,
    );
  await ann.listed('general').focus();
  const way = [];
  for (let at = 0; at < 3; at += 1) {
    await page.keyboard.press('F6');
    way.push(await where());
  }
  assert.deepEqual(way, ['chat-timeline', 'chat-composer', 'chat-channels']);
  await page.keyboard.press('Shift+F6');
  assert.equal(await where(), 'chat-composer');
  assert.equal(await page.evaluate(() => document.activeElement.localName), 'textarea');
  await page.keyboard.press('Control+Shift+f');
  await page.keyboard.press('F6');
  assert.equal(await where(), 'chat-channels');
  await page.keyboard.press('Shift+F6');
  assert.equal(await where(), 'chat-search');
});

journey('a text far too long for a message is attached as a file', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const { text_chars: most } = ann.limits;
  const paste = async (length) => {
    await ann.page.evaluate(
      (text) => navigator.clipboard.writeText(text),
      'lorem ipsum '.repeat(length / 12 + 1).slice(0, length),
    );
    await ann.field.focus();
    await ann.page.keyboard.press('Control+v');
  };
  await ann.field.fill('see: ');
  await paste(1 << 20);
  await ann.page.getByRole('button', { name: 'Remove text.txt' }).waitFor();
  assert.equal(await ann.field.inputValue(), 'see: ');
  await ann.page.getByRole('button', { name: 'Send' }).click();
  await ann.log.getByRole('link', { name: 'text.txt' }).waitFor();
  // What can be shortened stays in the field.
  await paste(4 * most);
  assert.equal((await ann.field.inputValue()).length, 4 * most);
  await ann.field.fill('');
  await paste(4 * most + 1);
  await ann.page.getByRole('button', { name: 'Remove text.txt' }).waitFor();
  assert.equal(await ann.field.inputValue(), '');
});
