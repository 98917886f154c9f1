import assert from 'node:assert/strict';
import { barriers } from './axe.js';
import { journey } from './journey.js';
import { roomOf, visitShop } from './room.js';
import { PHONE, tour } from './tour.js';

/** What axe finds on a page, by day and by night. */
async function barriersOf(person, state) {
  const found = [];
  for (const colorScheme of ['light', 'dark']) {
    await person.page.emulateMedia({ colorScheme });
    found.push(...(await barriers(person)).map((barrier) => `${state}, ${colorScheme}: ${barrier}`));
  }
  return found;
}

for (const [place, width] of [['at a desk', 1280], ['on a phone', 390]]) {
  journey(`axe finds nothing grave in any main state ${place}, light and dark`, async (world) => {
    const found = [];
    await tour(world, async (person, state) => {
      if (person.page.viewportSize().width === width) found.push(...(await barriersOf(person, state)));
    });
    assert.deepEqual(found, []);
  });
}

for (const [place, look] of [['at a desk', {}], ['on a phone', PHONE]]) {
  journey(`axe finds nothing grave in the rooms of a foreign page ${place}, light and dark`, async ({ browser, server }) => {
    const ann = await browser.person({ ...look, allow: [/401|HTTP Authentication failed|WebSocket|ERR_CONNECTION/u] });
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
      await field.fill('Not a heading: `code`, **this** and @Ann.\n```\nfor (;;);\n```\n> quoted\n- an item of https://example.org/');
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
  });
}
