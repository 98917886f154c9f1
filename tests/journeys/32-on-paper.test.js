import assert from 'node:assert/strict';
import { journey } from './journey.js';
import { roomOf, visitShop } from './room.js';
import { PHONE } from './tour.js';

/** Selects from the beginning of one message's words to the end of another's, and copies by key. */
async function copyFrom(person, from, to, root = () => document) {
  await person.page.evaluate(
    ([first, last, find]) => {
      const inside = new Function(`return (${find})()`)();
      const wordsOf = (text) => {
        const walker = document.createTreeWalker(inside.querySelector('[role=log]'), NodeFilter.SHOW_TEXT);
        for (let node = walker.nextNode(); node; node = walker.nextNode())
          if (node.data.includes(text)) return { node, at: node.data.indexOf(text) };
        throw new Error(`no ${text}`);
      };
      const [start, end] = [wordsOf(first), wordsOf(last)];
      getSelection().setBaseAndExtent(start.node, start.at, end.node, end.at + last.length);
    },
    [from, to, String(root)],
  );
  await person.page.keyboard.press('Control+c');
  return person.page.evaluate(() => navigator.clipboard.readText());
}

/** A line for a message's author and time: its name, and the date with hour and minute. */
const by = (name) => new RegExp(`^${name}, .*\\d{4} at \\d{1,2}:\\d{2}`, 'u');

journey(
  'a range of messages is copied with names, times and texts, in order, and nothing else',
  async ({ browser }) => {
    const ann = await browser.joined('Ann');
    const bob = await browser.joined('Bob');
    await ann.context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await ann.send('the beginning of it');
    await ann.send('- a list\n- with **weight**\n```\nlet code = 1;\n```');
    await bob.sees('the beginning of it');
    await bob.message('the beginning of it').hover();
    await bob.page.getByRole('button', { name: 'Reply' }).click();
    await bob.send('a reply to that');
    await bob.send('its last words');
    await ann.sees('its last words');
    const reply = ann.message('a reply to that').first();
    await reply.hover();
    await ann.page.getByRole('button', { name: 'React with 👍' }).click();
    await reply.getByRole('button', { name: /^👍 1/u }).waitFor();

    const copied = (await copyFrom(ann, 'beginning', 'last')).split('\n\n').map((part) => part.split('\n'));
    assert.equal(copied.length, 4);
    for (const [at, name] of ['Ann', 'Ann', 'Bob', 'Bob'].entries()) assert.match(copied[at][0], by(name));
    const texts = copied.map(([, ...lines]) => lines.join('\n'));
    assert.deepEqual(texts, [
      'beginning of it',
      '- a list\n- with **weight**\n```\nlet code = 1;\n```',
      'a reply to that',
      'its last',
    ]);

    // Within one message the browser copies what is selected.
    assert.equal(await copyFrom(ann, 'beginning', 'of it'), 'beginning of it');
  },
);

journey('in a room of a foreign page a range is copied as well', async ({ browser }) => {
  const ann = await browser.person();
  await ann.join('Ann');
  await ann.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await visitShop(ann);
  const { say } = roomOf(ann, 'general');
  for (const text of ['first words', 'second words', 'third words']) await say(text);
  const copied = await copyFrom(ann, 'words', 'third', () => document.querySelector('chat-room').shadowRoot);
  const parts = copied.split('\n\n').map((part) => part.split('\n'));
  assert.deepEqual(
    parts.map(([, text]) => text),
    ['words', 'second words', 'third'],
  );
  for (const [line] of parts) assert.match(line, by('Ann'));
});

journey('a text is copied by an action, at a desk and by touch', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const bob = await browser.person(PHONE);
  await bob.join('Bob');
  await bob.listed('general').tap();
  await bob.isIn('general');
  await bob.send('Take **this** along.');
  for (const person of [ann, bob]) {
    await person.context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const text = person.messages.filter({ hasText: 'Take this along.' }).locator('.text');
    await (person === bob ? text.tap() : text.hover());
    const bar = person.page.getByRole('toolbar', { name: 'Message actions' });
    // All that one can do is in sight.
    const { x, width } = await bar.boundingBox();
    assert.ok(x >= 0 && x + width <= person.page.viewportSize().width);
    await person.press(bar.getByRole('button', { name: 'Copy text' }));
    await person.page.getByText('The text is copied.').waitFor();
    assert.equal(await person.page.evaluate(() => navigator.clipboard.readText()), 'Take **this** along.');
  }
});

journey(
  'on paper stands the whole channel as it is loaded, and then the reader goes on where they were',
  async ({ browser }) => {
    const ann = await browser.joined('Ann');
    await ann.fill('general', 700);
    // More than the document holds are loaded by a reader who goes up.
    await ann.page.reload();
    await ann.isIn('general');
    const scroller = ann.page.locator('.scroller');
    await ann.sees('line 700');
    while (!(await ann.page.getByText('line 1', { exact: true }).count())) {
      await scroller.evaluate((one) => (one.scrollTop = 0));
      await ann.isDrawn();
    }
    await ann.page.evaluate(() => {
      globalThis.printed = [];
      addEventListener('beforeprint', () =>
        queueMicrotask(() => printed.push(document.querySelectorAll('article').length)),
      );
    });
    const place = () => ann.message('line 120').evaluate((one) => one.getBoundingClientRect().top);
    await ann.message('line 120').scrollIntoViewIfNeeded();
    const before = await place();
    const pages = (pdf) => pdf.toString('latin1').match(/\/Type\s*\/Page\b/gu).length;
    const count = pages(await ann.page.pdf({ format: 'A4' }));
    assert.deepEqual(await ann.page.evaluate(() => globalThis.printed), [700]);
    // A line is some 26 px high, and a page some 1,000.
    assert.ok(count >= 12, `${count} pages`);
    assert.ok(Math.abs((await place()) - before) <= 1);
    assert.ok((await ann.messages.count()) <= 500);

    // Nothing but the channel is there.
    await ann.page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    for (const part of ['.sidebar', 'chat-composer', '.pane-head button:not(h1 *)'])
      assert.ok(!(await ann.page.locator(part).first().isVisible()), part);
    assert.ok(await ann.page.getByRole('heading', { name: 'general', level: 1 }).isVisible());
    const ink = await ann.messages.first().evaluate((one) => getComputedStyle(one).color);
    assert.equal(ink, 'rgb(29, 28, 26)', 'dark on white');
  },
);
