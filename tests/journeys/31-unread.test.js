import assert from 'node:assert/strict';
import { journey } from './journey.js';
import { beneath, isInSight, newLine } from './sight.js';

/** Bob has read one message of Ann's in `general` and is in a channel of his own. */
async function away(browser) {
  const ann = await browser.joined('Ann');
  const bob = await browser.joined('Bob');
  await ann.say('before');
  await bob.sees('before');
  await bob.createChannel('b');
  return { ann, bob };
}

const unread = (person, name, count) => person.page.getByRole('link', { name: `${name} ${count} unread`, exact: true });
const read = (person, name) => person.page.getByRole('link', { name, exact: true });
const firstNew = (person) => person.page.getByRole('button', { name: 'First new message' });

/** Waits until the New line is before somebody's eyes, and looks at what stands beneath it. */
async function seesNewLine(person, text) {
  await newLine(person.page).waitFor();
  await person.isDrawn();
  assert.equal(await isInSight(newLine(person.page)), true);
  assert.equal(await beneath(newLine(person.page)), text);
}

journey('a channel with more unread than a page opens at the first unread message', async ({ browser }) => {
  const { ann, bob } = await away(browser);
  await ann.fill('general', 300);
  await unread(bob, 'general', 300).waitFor();
  // From another channel, and on a fresh page.
  await bob.open('general');
  await seesNewLine(bob, 'line 1');
  await bob.open('b');
  await bob.visit('/#/c/general');
  await bob.page.reload();
  await bob.isIn('general');
  await seesNewLine(bob, 'line 1');
  await unread(bob, 'general', 300).waitFor();

  await bob.page.getByRole('button', { name: '300 new messages, go to the end' }).click();
  await bob.sees('line 300');
  await read(bob, 'general').waitFor();
});

journey('a channel with more unread than fits opens at the first, one with less at its end', async ({ browser }) => {
  const { ann, bob } = await away(browser);
  await ann.fill('general', 60);
  await bob.page.reload();
  await unread(bob, 'general', 60).waitFor();
  await bob.open('general');
  await seesNewLine(bob, 'line 1');
  await unread(bob, 'general', 60).waitFor();
  await bob.log.evaluate((log) => (log.scrollTop = log.scrollHeight));
  await read(bob, 'general').waitFor();
  await bob.open('b');
  await ann.say('one more');
  await unread(bob, 'general', 1).waitFor();
  await bob.open('general');
  await seesNewLine(bob, 'one more');
  await read(bob, 'general').waitFor();
});

journey('a newcomer begins at the newest message, and a button leads to the first one', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.fill('general', 300);
  const bob = await browser.joined('Bob');
  await bob.sees('line 300');
  await firstNew(bob).click();
  await bob.sees('line 1');
  await seesNewLine(bob, 'line 1');
  await firstNew(bob).waitFor({ state: 'hidden' });
  await bob.isOn(bob.log);
});

journey('more than a screen that came while nobody looked has a way up to its first message', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const bob = await browser.joined('Bob');
  await ann.say('before');
  await bob.sees('before');
  await bob.page.evaluate(() => {
    document.hasFocus = () => globalThis.looks === true;
  });
  await ann.fill('general', 60);
  await bob.sees('line 60');
  await bob.page.evaluate(() => {
    globalThis.looks = true;
    dispatchEvent(new Event('focus'));
  });
  await firstNew(bob).click();
  await seesNewLine(bob, 'line 1');
  await firstNew(bob).waitFor({ state: 'hidden' });
});

journey('Escape marks the channel as read, Shift and Escape all channels', async ({ browser }) => {
  const { ann, bob } = await away(browser);
  await bob.createChannel('c');
  await ann.fill('general', 60);
  for (const name of ['b', 'c']) {
    await ann.open(name);
    await ann.say(`something in ${name}`);
  }
  const other = await bob.context.newPage();
  await other.goto(`${bob.server.url}/#/c/elsewhere`);
  await bob.open('general');
  await seesNewLine(bob, 'line 1');
  // What is open is closed first.
  await bob.page.keyboard.press('Control+k');
  await bob.page.keyboard.press('Escape');
  await bob.page.getByRole('button', { name: 'Search', exact: true }).click();
  await bob.page.keyboard.press('Escape');
  await unread(bob, 'general', 60).waitFor();
  await bob.field.press('Escape');
  await read(bob, 'general').waitFor();
  await unread(bob, 'b', 1).waitFor();

  await bob.field.press('Shift+Escape');
  await bob.page.getByText('All channels are marked as read.').waitFor();
  for (const name of ['general', 'b', 'c']) await other.getByRole('link', { name, exact: true }).waitFor();
});

/** Creates or joins many channels over a socket of the page's own. */
function forMany(person, type, names) {
  return person.page.evaluate(
    ([command, all]) =>
      new Promise((resolve, reject) => {
        const socket = new WebSocket(`ws://${location.host}/chat/ws`, ['chatcore.v1.lean']);
        let at = 0;
        const next = () => {
          const key = command === 'join' ? 'channel' : 'name';
          socket.send(JSON.stringify({ type: command, id: at, [key]: all[at] }));
        };
        socket.onmessage = ({ data }) => {
          const frame = JSON.parse(data);
          if (frame.type === 'error') {
            if (!frame.retryable) return reject(new Error(data));
            return setTimeout(next, frame.retry_ms ?? 100);
          }
          if (frame.type === 'ok') at += 1;
          if (frame.type !== 'ok' && frame.type !== 'welcome') return;
          if (at < all.length) next();
          else resolve(socket.close());
          return undefined;
        };
      }),
    [type, names],
  );
}

journey('with 220 channels the last one of the list gets its count and its mention', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const crowd = Array.from({ length: 220 }, (_, at) => `z${String(at).padStart(3, '0')}`);
  // A person creates sixty channels at once.
  const makers = ['Cid', 'Dan', 'Eve'];
  await forMany(ann, 'create_channel', crowd.slice(0, 55));
  for (const [at, name] of makers.entries())
    await forMany(await browser.joined(name), 'create_channel', crowd.slice(55 * (at + 1), 55 * (at + 2)));
  const bob = await browser.joined('Bob');
  await forMany(bob, 'join', crowd);
  await bob.listed('z219').waitFor();
  await ann.enter('z219');
  await ann.say('a word for nobody');
  await ann.say('a word for @Bob');
  await ann.isSent();
  await bob.page.getByRole('link', { name: 'z219 2 unread, 1 mention', exact: true }).waitFor({ timeout: 120_000 });
  await bob.page.waitForFunction(() => document.title === '(1) #general · Chat');

  // The switcher says that it does not offer all of them.
  await bob.page.keyboard.press('Control+k');
  await bob.page.getByText('The first 50 channels are shown.').waitFor();
  await bob.page.keyboard.type('z21');
  await bob.page.getByText('The first 50 channels are shown.').waitFor({ state: 'hidden' });
});

journey('a message is marked as unread from there on, for all tabs, until it is read again', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const bob = await browser.joined('Bob');
  for (const text of ['one', 'two', 'three']) await ann.say(text);
  await bob.sees('three');
  const other = await bob.context.newPage();
  await other.goto(`${bob.server.url}/#/c/elsewhere`);
  await other.getByRole('link', { name: 'general', exact: true }).waitFor();

  await bob.message('two').hover();
  await bob.page.getByRole('button', { name: 'Mark as unread from here' }).click();
  await other.getByRole('link', { name: 'general 2 unread' }).waitFor();
  await seesNewLine(bob, 'two');
  // To have it in sight is not to read it.
  await bob.page.evaluate(() => dispatchEvent(new Event('focus')));
  await bob.page.reload();
  await unread(bob, 'general', 2).or(read(bob, 'general')).waitFor();
  await seesNewLine(bob, 'two');
  // By a key too.
  await other.getByRole('link', { name: 'general', exact: true }).waitFor();
  await bob.message('three').focus();
  await bob.page.keyboard.press('u');
  await unread(bob, 'general', 1).waitFor();
  await bob.field.press('Escape');
  await other.getByRole('link', { name: 'general', exact: true }).waitFor();
});
