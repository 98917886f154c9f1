import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { journey } from './journey.js';

const titled = (page, title) => page.waitForFunction((wanted) => document.title === wanted, title);
const icon = (page) => page.locator('link[rel="icon"]').getAttribute('href');

/** Ann is in `general`, and Bob in a channel of his own. */
async function apart(browser) {
  const ann = await browser.joined('Ann');
  const bob = await browser.person();
  await bob.join('Bob');
  await bob.createChannel('b');
  return { ann, bob };
}

journey(
  'a mention is a badge and a number in the title of every tab, and reading it in one clears all',
  async ({ browser }) => {
    const { ann, bob } = await apart(browser);
    const second = await bob.context.newPage();
    await second.goto(`${bob.server.url}/#/c/b`);
    const tabs = [bob.page, second];
    const badge = (page) => page.getByRole('link', { name: 'general 2 unread, 1 mention', exact: true });

    await ann.say('good morning');
    await ann.say('have a look, @bob');
    for (const page of tabs) {
      await badge(page).waitFor();
      await titled(page, '(1) #b · Chat');
      assert.equal(await icon(page), '/icon-mentions.svg');
    }
    // It is known also to a tab that was not there when it came.
    await second.reload();
    await badge(second).waitFor();
    await titled(second, '(1) #b · Chat');

    await bob.page.bringToFront();
    await bob.listed('general').click();
    await bob.sees('have a look, @bob');
    await titled(bob.page, '#general · Chat');
    await titled(second, '#b · Chat');
    await badge(second).waitFor({ state: 'detached' });
    for (const page of tabs) assert.equal(await icon(page), '/icon.svg');
  },
);

journey('a mention that comes while a tab is still opening is a badge there too', async ({ browser }) => {
  const { ann, bob } = await apart(browser);
  const tab = await bob.context.newPage();
  const { asked, release } = await holdSubscription(tab, 'general');
  await tab.goto(`${bob.server.url}/#/c/b`);
  await asked;
  await ann.say('good morning');
  await ann.say('have a look, @bob');
  await ann.isSent();
  release();
  await tab.getByRole('link', { name: 'general 2 unread, 1 mention', exact: true }).waitFor();
});

/** Holds a tab's subscription to a channel back on its way to the server. */
async function holdSubscription(tab, channel) {
  const gate = new EventEmitter();
  const asked = once(gate, 'asked');
  const released = once(gate, 'released');
  await tab.routeWebSocket(/\/ws$/u, (socket) => {
    const server = socket.connectToServer();
    socket.onMessage(async (data) => {
      const frame = JSON.parse(data);
      if (frame.type === 'subscribe' && frame.channel === channel) {
        gate.emit('asked');
        await released;
      }
      server.send(data);
    });
  });
  return { asked, release: () => gate.emit('released') };
}

journey(
  'who asked for it is notified of a mention while they look elsewhere, and the click opens the message',
  async ({ browser }) => {
    const ann = await browser.joined('Ann');
    const bob = await browser.person();
    await bob.context.addInitScript(() => {
      globalThis.told = [];
      globalThis.Notification = class {
        static permission = 'default';
        static asked = 0;
        static async requestPermission() {
          Notification.asked += 1;
          return (Notification.permission = 'granted');
        }
        constructor(title, { body }) {
          globalThis.told.push(Object.assign(this, { title, body, open: true }));
        }
        close() {
          this.open = false;
        }
      };
      document.hasFocus = () => globalThis.looks !== false;
    });
    await bob.join('Bob');
    await bob.createChannel('b');
    const told = () => bob.page.evaluate(() => globalThis.told.map(({ title, body, open }) => ({ title, body, open })));
    assert.equal(await bob.page.evaluate(() => Notification.asked), 0);
    await bob.page.getByRole('button', { name: 'Bob', exact: true }).click();
    await bob.page.getByRole('button', { name: 'Notify me of mentions', pressed: false }).click();
    await bob.page.getByRole('button', { name: 'Notify me of mentions', pressed: true }).waitFor();
    await bob.page.keyboard.press('Escape');

    await ann.say('@Bob while you look');
    await titled(bob.page, '(1) #b · Chat');
    assert.deepEqual(await told(), []);
    await bob.page.evaluate(() => (globalThis.looks = false));
    await ann.say('nobody in particular');
    await ann.say('@Bob while you do not');
    await titled(bob.page, '(2) #b · Chat');
    assert.deepEqual(await told(), [{ title: 'Ann in #general', body: '@Bob while you do not', open: true }]);
    await bob.page.evaluate(() => {
      globalThis.looks = true;
      globalThis.told[0].onclick();
    });
    await bob.isIn('general');
    await bob.page.locator('article.target').filter({ hasText: '@Bob while you do not' }).waitFor();
    assert.equal((await told())[0].open, false);
  },
);

/** Lets a page look as if nobody looked at it, and keep what it notifies of. */
const stubFocusAndNotifications = () => {
  globalThis.told = [];
  globalThis.Notification = class {
    static permission = 'granted';
    static requestPermission = async () => 'granted';
    constructor(title, { body }) {
      globalThis.told.push(`${title}: ${body}`);
    }
    close() {}
  };
  document.hasFocus = () => globalThis.looks !== false;
};

function look(page, looks) {
  return page.evaluate((now) => {
    globalThis.looks = now;
    dispatchEvent(new Event(now ? 'focus' : 'blur'));
  }, looks);
}

journey('a plain message to a tab that nobody looks at changes its title and icon', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const bob = await browser.person();
  await bob.context.addInitScript(stubFocusAndNotifications);
  await bob.join('Bob');
  await bob.isIn('general');
  await titled(bob.page, '#general · Chat');
  await look(bob.page, false);
  await ann.say('good morning');
  await titled(bob.page, '• #general · Chat');
  assert.equal(await icon(bob.page), '/icon-mentions.svg');
  await look(bob.page, true);
  await titled(bob.page, '#general · Chat');
  assert.equal(await icon(bob.page), '/icon.svg');
});

journey('a person is notified once, and not at all while they look at another tab', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const bob = await browser.person();
  await bob.context.addInitScript(stubFocusAndNotifications);
  await bob.join('Bob');
  await bob.page.getByRole('button', { name: 'Bob', exact: true }).click();
  await bob.page.getByRole('button', { name: 'Notify me of mentions' }).click();
  await bob.page.keyboard.press('Escape');
  const second = await bob.context.newPage();
  await second.goto(`${bob.server.url}/#/c/general`);
  await second.getByRole('log', { name: 'Messages in general' }).waitFor();
  const told = async () =>
    (await Promise.all([bob.page, second].map((page) => page.evaluate(() => globalThis.told)))).flat();

  // The first tab is hidden; the second one has the channel before somebody's eyes.
  await look(bob.page, false);
  await ann.say('@Bob one');
  await bob.page.waitForFunction(() => document.querySelector('chat-announcer').textContent.includes('@Bob one'));
  // The second tab has read it, so that nothing is left to be told.
  await bob.page.getByRole('link', { name: 'general', exact: true }).waitFor();
  await look(second, false);
  await ann.say('@Bob two');
  for (const page of [bob.page, second]) await titled(page, '(1) #general · Chat');
  await Promise.any([bob.page, second].map((page) => page.waitForFunction(() => globalThis.told.length > 0)));
  assert.deepEqual(await told(), ['Ann in #general: @Bob two']);
});
