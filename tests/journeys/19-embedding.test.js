import assert from 'node:assert/strict';
import { journey } from './journey.js';
import { roomOf, visitShop } from './room.js';

/** A PNG of one colour that the page makes. */
async function picture(person) {
  const bytes = await person.page.evaluate(async () => {
    const canvas = new OffscreenCanvas(320, 240);
    canvas.getContext('2d').fillRect(0, 0, 320, 240);
    return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
  });
  return Buffer.from(bytes);
}

/** Notes every event that the rooms fire, from the page on. */
async function listen(person) {
  await person.page.evaluate(() => {
    globalThis.heard = [];
    for (const type of ['chat-send', 'chat-unread', 'chat-status']) {
      document.addEventListener(type, ({ target, detail }) =>
        globalThis.heard.push({ type, room: target.channel, ...detail }),
      );
    }
  });
}

const heard = (person, type) =>
  person.page.evaluate((wanted) => globalThis.heard.filter((event) => event.type === wanted), type);

journey(
  'two rooms of a foreign page: what is said in one is in that one, and at the other person’s',
  async ({ browser }) => {
    const ann = await browser.person();
    const bob = await browser.person();
    const sockets = [];
    ann.page.on('websocket', (socket) => sockets.push(socket));
    await ann.join('Ann');
    await ann.isIn('general');
    await bob.join('Bob');
    sockets.length = 0;
    await visitShop(ann);
    await visitShop(bob);
    assert.equal(sockets.length, 1, 'the rooms of a page share a connection');
    await listen(ann);

    const [general, greenhouse] = ['general', 'greenhouse'].map((channel) => roomOf(ann, channel));
    await general.say('hello from the shop');
    await roomOf(bob, 'general').message('hello from the shop').waitFor();
    await roomOf(bob, 'greenhouse').say('tomatoes');
    await greenhouse.message('tomatoes').waitFor();
    assert.deepEqual(await general.texts(), ['hello from the shop']);
    assert.deepEqual(await greenhouse.texts(), ['tomatoes']);
    const [sent, ...others] = await heard(ann, 'chat-send');
    assert.deepEqual(others, []);
    assert.match(sent.nonce, /^.{1,64}$/u);
    assert.deepEqual([sent.room, sent.channel, sent.text], ['general', 'general', 'hello from the shop']);

    // The focus stays in a control of the room that is drawn again.
    await greenhouse.field.focus();
    await greenhouse.field.press('Shift+Tab');
    await greenhouse.message('tomatoes').hover();
    await greenhouse.room.getByRole('button', { name: 'React with 👍' }).click();
    const reaction = greenhouse.room.getByRole('button', { name: /^👍 1/u });
    await reaction.focus();
    await roomOf(bob, 'greenhouse').room.getByRole('button', { name: /^👍 1/u }).click();
    const both = greenhouse.room.getByRole('button', { name: /^👍 2/u });
    await both.waitFor();
    await ann.isOn(both);

    // A reply leads to its message inside of the room; the page's address is the page's.
    await greenhouse.message('tomatoes').hover();
    assert.equal(await greenhouse.room.getByRole('button', { name: 'Copy the link' }).count(), 0);
    await greenhouse.room.getByRole('button', { name: 'Reply' }).click();
    await greenhouse.say('mine too');
    await greenhouse.room.locator('.quote').click();
    await greenhouse.room.locator('article.target', { hasText: 'tomatoes' }).waitFor();
    assert.equal(new URL(ann.page.url()).hash, '');

    // Emoji and suggestions.
    await greenhouse.room.getByRole('button', { name: 'Insert an emoji' }).click();
    await greenhouse.room.getByRole('searchbox', { name: 'Search emoji' }).fill('tomato');
    await greenhouse.room.getByRole('button', { name: 'tomato' }).click();
    assert.equal(await greenhouse.field.inputValue(), '🍅');
    await greenhouse.field.fill('');
    await greenhouse.field.pressSequentially('@b');
    await greenhouse.room.getByRole('option', { name: 'Bob' }).click();
    assert.equal(await greenhouse.field.inputValue(), '@Bob ');

    // What is typed is no shortcut of the page's.
    await ann.page.evaluate(() => {
      globalThis.pressed = '';
      document.addEventListener('keydown', ({ key }) => (globalThis.pressed += `${key} `));
    });
    await greenhouse.field.press('/');
    await greenhouse.field.press('Escape');
    // One key leads from the field to the messages and back.
    await greenhouse.field.press('F6');
    await ann.isOn(greenhouse.room.getByRole('log'));
    await ann.page.keyboard.press('F6');
    await ann.isOn(greenhouse.field);
    assert.equal(await ann.page.evaluate(() => globalThis.pressed), 'Escape F6 F6 ');

    // A picture opens over the page, in the room's own style.
    await greenhouse.field.fill('');
    const [chooser] = await Promise.all([
      ann.page.waitForEvent('filechooser'),
      greenhouse.room.getByRole('button', { name: 'Attach files' }).click(),
    ]);
    await chooser.setFiles({ name: 'bed.png', mimeType: 'image/png', buffer: await picture(ann) });
    await greenhouse.room.getByRole('button', { name: 'Send' }).click();
    await greenhouse.room.getByRole('log').getByRole('link', { name: 'bed.png' }).click();
    const lightbox = greenhouse.room.getByRole('dialog', { name: 'Image' });
    await lightbox.getByRole('img', { name: 'bed.png' }).waitFor();
    assert.equal(await lightbox.evaluate((dialog) => getComputedStyle(dialog).backgroundColor), 'rgba(0, 0, 0, 0.85)');
    assert.deepEqual(await lightbox.evaluate((dialog) => [dialog.offsetWidth, dialog.offsetHeight]), [1280, 800]);
    await ann.page.keyboard.press('Escape');
    await lightbox.waitFor({ state: 'detached' });
  },
);

journey('a room’s events, its attributes and its end', async ({ server, browser }) => {
  const gone = { allow: [/ERR_CONNECTION_REFUSED/u] };
  const ann = await browser.person(gone);
  const bob = await browser.person(gone);
  await ann.join('Ann');
  await bob.join('Bob');
  await visitShop(ann);
  await visitShop(bob);
  await listen(ann);
  const general = roomOf(ann, 'general');

  // Unread is what came while the room was out of sight.
  await ann.page.evaluate(() => scrollTo(0, 0));
  await ann.resize(1280, 300);
  await roomOf(bob, 'general').say('@Ann are you there?');
  const unread = await ann.page
    .waitForFunction(() => globalThis.heard.find(({ type }) => type === 'chat-unread'))
    .then((found) => found.jsonValue());
  assert.deepEqual(unread, { type: 'chat-unread', room: 'general', channel: 'general', unread: 1, mentions: 1 });
  await ann.page.locator('#unread', { hasText: '1 new' }).waitFor();
  await ann.resize(1280, 800);
  await general.room.scrollIntoViewIfNeeded();
  await ann.page.locator('#unread').waitFor({ state: 'hidden' });

  // Another channel, one that is not there, and back.
  await general.field.fill('half a thought');
  await general.room.evaluate((room) => (room.channel = 'greenhouse'));
  const [first] = await ann.page.locator('chat-room').all();
  await first.getByRole('textbox', { name: 'Message #greenhouse' }).waitFor();
  await first.evaluate((room) => room.setAttribute('channel', 'nowhere'));
  await first.getByText('There is no channel called “nowhere”.').waitFor();
  assert.ok(await first.getByRole('textbox').isHidden());
  await first.evaluate((room) => room.core.createChannel({ name: 'nowhere' }));
  await first.getByRole('textbox', { name: 'Message #nowhere' }).waitFor();
  await first.evaluate((room) => room.removeAttribute('channel'));
  await first.getByText('This room has no channel.').waitFor();
  await first.evaluate((room) => room.setAttribute('channel', 'general'));
  await general.message('are you there?').waitFor();
  assert.equal(await general.field.inputValue(), 'half a thought');

  // The server goes and comes back.
  await server.kill();
  await ann.page.waitForFunction(() =>
    globalThis.heard.some(({ status, room }) => status === 'offline' && room === 'general'),
  );
  await server.restart();
  await ann.page.waitForFunction(
    () =>
      globalThis.heard.findLast(({ type, room }) => type === 'chat-status' && room === 'general').status === 'online',
  );

  // The last room takes the connection with it.
  const closed = ann.page.evaluate(() => {
    const { connection } = document.querySelector('chat-room').core;
    return new Promise((resolve) =>
      connection.on(
        'state',
        () => connection.phase === 'idle' && resolve(document.querySelectorAll('chat-room').length),
      ),
    );
  });
  await ann.page.evaluate(() => {
    const room = document.querySelector('chat-room');
    // It goes between what is to be drawn and its drawing.
    room.core.send(room.channel, { text: 'last words' });
    room.remove();
    setTimeout(() => document.querySelector('chat-room').remove());
  });
  assert.equal(await closed, 0);
  await ann.isDrawn();
});

/** Drops files on the room, and tells whether the browser was kept from opening them. */
const drop = ({ room }, names) =>
  room.evaluate((host, wanted) => {
    const dataTransfer = new DataTransfer();
    for (const name of wanted) dataTransfer.items.add(new File(['leaf'], name));
    const target = host.shadowRoot.querySelector('.scroller');
    return ['dragenter', 'dragover', 'drop'].map((type) => {
      const event = new DragEvent(type, { dataTransfer, bubbles: true, composed: true, cancelable: true });
      target.dispatchEvent(event);
      return event.defaultPrevented;
    });
  }, names);

journey('a file that is dropped on a room is attached there', async ({ browser }) => {
  const ann = await browser.person();
  await ann.join('Ann');
  await visitShop(ann);
  const general = roomOf(ann, 'general');
  assert.deepEqual(await drop(general, ['leaf.txt']), [false, true, true]);
  await general.room
    .getByRole('listitem')
    .filter({ hasText: 'leaf.txt' })
    .getByRole('button', { name: 'Remove leaf.txt' })
    .waitFor();
  assert.equal(await roomOf(ann, 'greenhouse').room.getByText('leaf.txt').count(), 0);
  await general.room.evaluate((room) => (room.channel = 'nowhere'));
  const [first] = await ann.page.locator('chat-room').all();
  await first.getByText('There is no channel called “nowhere”.').waitFor();
  assert.deepEqual(
    await drop({ room: first }, ['stem.txt']),
    [false, true, true],
    'the page stays, also where nothing can be attached',
  );
});

journey(
  'a page has room for a room, and sets it up, before its script and its style are there',
  async ({ browser }) => {
    const ann = await browser.person();
    await ann.join('Ann');
    const release = {};
    for (const name of ['chat.js', 'chat.css']) {
      const released = new Promise((resolve) => (release[name] = resolve));
      await ann.page.route(`**/chat/ui/${name}`, async (route) => {
        await released;
        await route.continue();
      });
    }
    await ann.page.goto(`${ann.server.url}/embed.html`, { waitUntil: 'commit' });
    const room = ann.page.locator('chat-room').first();
    const height = () => room.evaluate((host) => host.offsetHeight);
    await room.waitFor({ state: 'attached' });
    await ann.page.waitForFunction(() => document.styleSheets.length > 0);
    assert.equal(await height(), 560);
    await room.evaluate((host) => (host.channel = 'Greenhouse'));
    release['chat.js']();
    await ann.page.waitForFunction(() => document.querySelector('chat-room').shadowRoot);
    assert.equal(await height(), 560);
    assert.equal(await room.locator('.room').isVisible(), false, 'nothing is shown without its style');
    release['chat.css']();
    await room.getByRole('textbox', { name: 'Message #greenhouse' }).waitFor();
    assert.deepEqual(
      await room.evaluate((host) => [host.getAttribute('channel'), host.channel, Object.hasOwn(host, 'channel')]),
      ['Greenhouse', 'greenhouse', false],
    );
    assert.equal(await height(), 560);
  },
);

journey('a room that the page moves keeps its place, its file and what is written', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const bob = await browser.joined('Bob');
  await bob.fill('general', 150);
  await visitShop(ann);
  const general = roomOf(ann, 'general');
  await general.message('line 150').waitFor();
  await drop(general, ['leaf.txt']);
  await general.room.getByRole('button', { name: 'Remove leaf.txt' }).waitFor();
  await general.field.fill('half a thought');
  const place = () =>
    general.room.evaluate((host) => {
      const scroller = host.shadowRoot.querySelector('.scroller');
      const { top } = scroller.getBoundingClientRect();
      const first = [...scroller.querySelectorAll('article')].find(
        (article) => article.getBoundingClientRect().bottom > top + 1,
      );
      return { seq: first?.dataset.seq, top: first && Math.round(first.getBoundingClientRect().top - top) };
    });
  await general.room.getByRole('log').hover();
  await ann.page.mouse.wheel(0, -2000);
  await general.room.getByRole('button', { name: 'Go to the newest message' }).waitFor();
  await ann.isDrawn();
  const before = await place();
  assert.ok(Number(before.seq) < 140, JSON.stringify(before));
  const core = await general.room.evaluateHandle((host) => host.core);
  const moves = {
    'put elsewhere': () => general.room.evaluate((host) => document.querySelector('#talk').append(host)),
    'moved as it is': () => general.room.evaluate((host) => document.querySelector('.rooms').moveBefore(host, null)),
  };
  for (const [how, move] of Object.entries(moves)) {
    await move();
    await general.field.waitFor();
    await ann.isDrawn();
    assert.deepEqual(await place(), before, how);
    assert.equal(
      await general.room.evaluate((host, one) => host.core.user === one.user && host.status === 'online', core),
      true,
    );
    assert.equal(await general.field.inputValue(), 'half a thought');
    await general.room.getByRole('button', { name: 'Remove leaf.txt' }).waitFor();
  }
  // It still hears: what comes is drawn, and what is at the end is read.
  await bob.say('after the move');
  await general.room.getByRole('button', { name: '1 new message, go to the end' }).click();
  await general.message('after the move').waitFor();
  // The button that was pressed is gone; the keys go to the messages.
  assert.equal(await general.room.evaluate((host) => host.shadowRoot.activeElement?.getAttribute('role')), 'log');
  await ann.page.waitForFunction(() => document.querySelector('chat-room[channel="general"]').unread === 0);
  // Out of the document for good, it lets go.
  await general.room.evaluate((host) => {
    globalThis.gone = host;
    host.remove();
  });
  assert.equal(await ann.page.evaluate(() => globalThis.gone.core), null);
});

journey('of nine rooms on a page each shows its channel', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await visitShop(ann);
  const names = Array.from({ length: 9 }, (_, at) => `bed-${at + 1}`);
  await ann.page.evaluate(async (channels) => {
    const { core } = document.querySelector('chat-room');
    for (const name of channels) {
      await core.createChannel({ name });
      core.send(name, { text: `welcome to ${name}` });
      const room = document.createElement('chat-room');
      room.channel = name;
      document.querySelector('.rooms').append(room);
    }
  }, names);
  for (const name of ['general', 'greenhouse', ...names]) await roomOf(ann, name).field.waitFor();
  for (const name of names) await roomOf(ann, name).message(`welcome to ${name}`).waitFor();
});

journey('who is not signed in is told so, and is let in as soon as they are', async ({ browser }) => {
  const ann = await browser.person({ allow: [/HTTP Authentication failed/u] });
  await ann.visit('/embed.html');
  const [room] = await ann.page.locator('chat-room').all();
  await room.getByText('You are not signed in.').waitFor();
  await ann.page.getByRole('link', { name: 'Choose a name' }).waitFor();
  assert.equal(await room.evaluate(({ status }) => status), 'signed-out');
  await ann.page.evaluate(() =>
    fetch('/session', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"name":"Ann"}' }),
  );
  // The page has signed in by itself: nobody has to press anything.
  for (const channel of ['general', 'greenhouse']) await roomOf(ann, channel).field.waitFor();
});

journey(
  'the page’s style ends at a room, a room’s at the page; a room is themed by properties and parts',
  async ({ browser }) => {
    const ann = await browser.person();
    await ann.join('Ann');
    await visitShop(ann);
    const [general, greenhouse] = ['general', 'greenhouse'].map((channel) => roomOf(ann, channel));
    await general.say('in style');
    await greenhouse.say('in style');

    // What the page says of every element, article and field.
    const plain = { 'letter-spacing': 'normal', 'text-transform': 'none' };
    assert.deepEqual(await greenhouse.style('article .text', Object.keys(plain)), plain);
    assert.deepEqual(await greenhouse.style('article', ['outline-style']), { 'outline-style': 'none' });
    assert.deepEqual(await greenhouse.style('textarea', ['border-top-width', 'background-color']), {
      'border-top-width': '0px',
      'background-color': 'rgba(0, 0, 0, 0)',
    });
    const { 'font-family': font } = await greenhouse.style('article .text', ['font-family']);
    assert.match(font, /^system-ui/u);

    // Each room has its own theme, and neither has the colours that the page gives the same names.
    const colours = async (room, selector) => Object.values(await room.style(selector, ['background-color']))[0];
    assert.equal(await colours(general, '.room'), 'rgb(255, 253, 247)');
    assert.equal(await colours(greenhouse, '.room'), 'rgb(16, 34, 29)');
    assert.equal(await colours(greenhouse, 'header'), 'rgb(11, 25, 21)');
    assert.deepEqual(await greenhouse.style('article .text', ['color']), { color: 'rgb(236, 234, 230)' });
    assert.match((await general.style('article .text', ['font-family']))['font-family'], /^Georgia/u);

    // Nothing of a room's style is in the page.
    const outside = await ann.page.evaluate(() => ({
      links: [...document.styleSheets].map(({ href }) => new URL(href).pathname),
      body: getComputedStyle(document.body).fontSize,
    }));
    assert.deepEqual(outside, { links: ['/embed.css'], body: '18px' });

    await ann.resize(390, 844);
    const width = await ann.page.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(width, 390);
    const [one, other] = await Promise.all([general, greenhouse].map(({ room }) => room.boundingBox()));
    assert.ok(other.y >= one.y + one.height);
  },
);

journey('a whole chat that the page moves, or takes out for a while, goes on', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const bob = await browser.joined('Bob');
  await bob.say('before');
  await ann.sees('before');
  await ann.field.fill('half a thought');
  const moves = [
    () => document.body.prepend(document.querySelector('chat-shell')),
    () => {
      globalThis.away = document.querySelector('chat-shell');
      globalThis.away.remove();
    },
    () => document.body.append(globalThis.away),
  ];
  await ann.page.evaluate(moves[0]);
  await bob.say('after the move');
  await ann.sees('after the move');
  await ann.page.evaluate(moves[1]);
  await bob.say('while it was away');
  await bob.isSent();
  await ann.page.evaluate(moves[2]);
  await ann.sees('while it was away');
  assert.equal(await ann.field.inputValue(), 'half a thought');

  // What listens to the page listens again.
  const menu = ann.page.getByRole('button', { name: 'Sign out' });
  await ann.page.getByRole('button', { name: 'Ann', exact: true }).click();
  await menu.waitFor();
  await ann.field.click();
  await menu.waitFor({ state: 'hidden' });
  await ann.createChannel('orchard');
  await ann.page.goBack();
  await ann.isIn('general');
  await bob.say('and on');
  await ann.sees('and on');
});
