import assert from 'node:assert/strict';
import { barriers } from './axe.js';
import { journey } from './journey.js';
import { roomOf, visitShop } from './room.js';
import { PHONE, tour } from './tour.js';

/** What axe finds on a page by day, by night, and where the system forces its colours. */
async function barriersOf(person, state) {
  const found = [];
  for (const [look, media, options] of [
    ['light', { colorScheme: 'light', forcedColors: 'none' }, {}],
    ['dark', { colorScheme: 'dark', forcedColors: 'none' }, { ofColours: true }],
    ['forced colours', { colorScheme: 'light', forcedColors: 'active' }, { forced: true }],
  ]) {
    await person.page.emulateMedia(media);
    found.push(...(await barriers(person, options)).map((barrier) => `${state}, ${look}: ${barrier}`));
  }
  await person.page.emulateMedia({ forcedColors: 'none' });
  return found;
}

for (const [place, width] of [
  ['at a desk', 1280],
  ['on a phone', 390],
]) {
  journey(`axe finds nothing grave in any main state ${place}, light, dark and in forced colours`, async (world) => {
    const found = [];
    await tour(world, async (person, state) => {
      if (person.page.viewportSize().width === width) found.push(...(await barriersOf(person, state)));
    });
    assert.deepEqual(found, []);
  });
}

for (const [place, look] of [
  ['at a desk', {}],
  ['on a phone', PHONE],
]) {
  journey(
    `axe finds nothing grave in the rooms of a foreign page ${place}, light, dark and in forced colours`,
    async ({ browser, server }) => {
      const ann = await browser.person({
        ...look,
        allow: [/401|HTTP Authentication failed|WebSocket|ERR_CONNECTION/u],
      });
      const found = [];
      const see = async (state) => found.push(...(await barriersOf(ann, state)));
      await ann.visit('/embed.html');
      await ann.page.getByRole('link', { name: 'Choose a name' }).waitFor();
      await see('signed-out');
      await ann.join('Ann');
      await visitShop(ann);
      await see('empty');
      const rooms = ['general', 'greenhouse'].map((channel) => roomOf(ann, channel));
      for (const { field, room } of rooms) {
        await field.fill(
          'Not a heading: `code`, **this** and @Ann.\n```\nfor (;;);\n```\n> quoted\n- an item of https://example.org/',
        );
        await room.getByRole('button', { name: 'Send' }).click();
        // What has no number yet can't be acted on.
        const bold = room.locator('article[data-seq] strong');
        await (look.isMobile ? bold.tap() : bold.hover());
        await room.getByRole('button', { name: 'React with 👍' }).click();
        await room.getByRole('button', { name: /^👍 1/u }).waitFor();
      }
      await see('messages');
      const [general, { field, room }] = rooms;
      await general.room.evaluate((host) => host.setAttribute('channel', 'nowhere'));
      await roomOf(ann, 'nowhere').room.getByText('There is no channel called “nowhere”.').waitFor();
      await room.getByRole('button', { name: 'Reply' }).click();
      await field.pressSequentially('@');
      await room.getByRole('option').first().waitFor();
      await see('missing, reply and completion');
      await field.fill('');
      await room.getByRole('button', { name: 'Insert an emoji' }).click();
      await room.locator('.emoji-picker .emoji').first().waitFor();
      await see('emoji');
      await ann.page.keyboard.press('Escape');
      await server.kill();
      await ann.page.getByText('You are offline.').first().waitFor();
      await see('offline');
      assert.deepEqual(found, []);
    },
  );
}

/** Calls `change`, and says whether the element looks different then. Nothing but it may change. */
async function looksDifferent(locator, change) {
  const shot = () => locator.screenshot({ animations: 'disabled', caret: 'hide' });
  const before = await shot();
  await change();
  return !before.equals(await shot());
}

for (const colorScheme of ['light', 'dark']) {
  journey(
    `in forced colours, ${colorScheme}, one sees what is chosen, current, one's own and in focus`,
    async ({ browser }) => {
      const ann = await browser.person({ forcedColors: 'active', colorScheme });
      await ann.join('Ann');
      await ann.isIn('general');
      await ann.createChannel('garden');
      await ann.send('A message to react to, for @Ann and @Bob');
      const { page } = ann;
      const away = () => page.mouse.move(2, 2);
      const form = page.locator('chat-composer form');
      const differs = async (what, locator, change) => assert.ok(await looksDifferent(locator, change), what);

      // A frame around the whole, since the field has none.
      const frame = () => form.evaluate((one) => getComputedStyle(one).outlineStyle);
      await page.locator('.scroller').focus();
      assert.equal(await frame(), 'none');
      await ann.field.focus();
      assert.equal(await frame(), 'solid', 'the focus of the composer');

      await differs('the current channel', ann.listed('garden'), async () => {
        await ann.open('general');
        await away();
        await page.locator('.scroller').focus();
      });
      await ann.open('garden');

      await ann.field.fill('');
      await ann.field.pressSequentially(':smi');
      const [chosen, other] = [page.getByRole('option').nth(0), page.getByRole('option').nth(1)];
      await other.waitFor();
      await differs('the chosen suggestion', chosen, () => ann.field.press('ArrowDown'));
      await differs('the next one', other, () => ann.field.press('ArrowDown'));
      await ann.field.press('Escape');
      await ann.field.fill('');

      const message = ann.messages.first();
      await message.hover();
      await page.getByRole('button', { name: 'React with 👍' }).click();
      const own = message.getByRole('button', { name: /^👍/u });
      await own.waitFor();
      // The server's word draws the reaction anew; once a later message is in the log, it has come.
      await ann.send('Something after it');
      await ann.isDrawn();
      await away();
      await ann.field.focus();
      await differs("one's own reaction", own, () => own.evaluate((button) => button.classList.remove('own')));

      const mention = message.locator('.mention');
      await differs("one's own mention", mention, () => mention.evaluate((one) => one.classList.remove('own')));

      await differs('the message that was looked for', message, () =>
        message.evaluate((article) => article.classList.add('target')),
      );

      await page.keyboard.press('Control+k');
      const dialog = page.getByRole('dialog', { name: 'Go to a channel' });
      const first = dialog.getByRole('option').first();
      await first.waitFor();
      await differs('the chosen channel', first, () => page.keyboard.press('ArrowDown'));
      await page.keyboard.press('Escape');
    },
  );
}

// A window of 1280 by 1024 pixels at these zooms.
for (const [zoom, width, height] of [
  [200, 640, 512],
  [400, 320, 256],
]) {
  journey(`at ${zoom} % zoom all can be read and reached without scrolling sideways`, async ({ browser }) => {
    const ann = await browser.person({ viewport: { width, height }, deviceScaleFactor: zoom / 100 });
    const { page } = ann;
    const found = [];
    /** The page is no wider than the window, and nothing that can be pressed lies outside of it sideways. */
    const see = async (state) => {
      await ann.isDrawn();
      const outside = await page.evaluate(() => {
        const reachable = (one) =>
          one.checkVisibility({ visibilityProperty: true }) && !one.closest('.visually-hidden');
        const wide = [...document.querySelectorAll('button, a, input, textarea, h1, h2, p')].filter((one) => {
          const { left, right, width: wide } = one.getBoundingClientRect();
          return reachable(one) && wide > 0 && (left < -1 || right > innerWidth + 1);
        });
        if (document.documentElement.scrollWidth > innerWidth) wide.push(document.documentElement);
        return wide.map((one) => one.outerHTML.slice(0, 80));
      });
      found.push(
        ...outside.map((one) => `${state}: ${one}`),
        ...(await barriers(ann)).map((barrier) => `${state}: ${barrier}`),
      );
    };
    await ann.visit();
    await see('sign-in');
    await ann.tryToJoin('Ann');
    await ann.listed('general').click();
    await ann.isIn('general');
    await ann.send('Some words, and a_name_that_is_longer_than_a_narrow_window_is_wide_at_such_a_zoom.');
    await ann.send('```\nlet line = "of code that is longer than the window is wide, too";\n```');
    await see('channel');
    // Some lines of the messages stay in sight.
    const room = await page.locator('.scroller').evaluate((one) => one.clientHeight);
    assert.ok(room >= 60, `${room} px`);
    await ann.messages.first().hover();
    const bar = page.getByRole('toolbar', { name: 'Message actions' });
    await bar.waitFor();
    await see('message-actions');
    await bar.getByRole('button', { name: 'Reply' }).click();
    await see('reply');
    await page.keyboard.press('Escape');
    for (const [name, state] of [
      ['Insert an emoji', 'emoji'],
      [/members? online/u, 'members'],
      ['Search', 'search'],
    ]) {
      await page.getByRole('button', { name, exact: typeof name === 'string' }).click();
      await see(state);
      if (state === 'members') await page.getByRole('button', { name }).click();
      else if (state === 'search') await page.getByRole('button', { name: 'Close search' }).click();
      else await page.keyboard.press('Escape');
    }
    for (const [key, name] of [
      ['Control+k', 'Go to a channel'],
      ['Control+/', 'Keyboard shortcuts'],
    ]) {
      await page.keyboard.press(key);
      await page.getByRole('dialog', { name }).waitFor();
      await see(name);
      await page.keyboard.press('Escape');
    }
    await page.getByRole('link', { name: 'All channels' }).click();
    await see('channels');
    await page.getByRole('button', { name: 'Create a channel' }).first().click();
    const dialog = page.getByRole('dialog', { name: 'Create a channel' });
    await dialog.getByLabel('Name').fill('narrow');
    await see('create-channel');
    await dialog.getByRole('button', { name: 'Create', exact: true }).click();
    await ann.isIn('narrow');
    assert.deepEqual(found, []);
  });
}
