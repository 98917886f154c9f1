import assert from 'node:assert/strict';
import { journey } from './journey.js';

const PHONE = {
  viewport: { width: 390, height: 844 },
  hasTouch: true,
  isMobile: true,
  colorScheme: 'dark',
  timezoneId: 'Asia/Tokyo',
  locale: 'en-GB',
};

journey(
  'on a phone: an input method, Arabic, another zone, and what one does to a message by touch',
  async ({ browser }) => {
    const ann = await browser.joined('Ann', { timezoneId: 'America/Los_Angeles' });
    await ann.say('مرحبا **بالجميع**');
    await ann.isSent();
    const bob = await browser.person(PHONE);
    await bob.join('Bob');
    await bob.listed('general').tap();
    await bob.isIn('general');

    // Its own direction, and the viewer's own day and clock.
    const text = bob.messages.first().locator('.text');
    assert.equal(await text.evaluate((one) => getComputedStyle(one).direction), 'rtl');
    assert.equal(await text.locator('strong').textContent(), 'بالجميع');
    const clock = (person) =>
      person.page.evaluate(() => {
        const time = document.querySelector('article time');
        return {
          shown: time.textContent,
          meant: new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' }).format(
            new Date(time.dateTime),
          ),
        };
      });
    const [here, there] = [await clock(ann), await clock(bob)];
    assert.equal(here.shown, here.meant);
    assert.equal(there.shown, there.meant);
    assert.notEqual(here.shown, there.shown);
    assert.equal(await bob.log.getByRole('separator').first().textContent(), 'Today');

    // The Enter that ends a composition is the input method's.
    const enter = (person, isComposing) =>
      person.field.evaluate((field, composing) => {
        field.value = 'かな';
        field.dispatchEvent(new InputEvent('input', { bubbles: true, isComposing: composing }));
        return field.dispatchEvent(
          new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true, isComposing: composing }),
        );
      }, isComposing);
    assert.equal(await enter(ann, true), true);
    await ann.isDrawn();
    assert.equal(await ann.messages.count(), 1);
    assert.equal(await enter(bob, false), true);
    await bob.isDrawn();
    assert.equal(await bob.messages.count(), 1);
    assert.equal(await enter(ann, false), false);
    await ann.counts(2);

    // The composer stays above a keyboard that takes half of the window.
    await bob.resize(390, 420);
    const box = await bob.field.boundingBox();
    assert.ok(box.y + box.height <= 420, `the field ends at ${box.y + box.height}`);
    await bob.resize(390, 844);

    // A tap on a message brings what can be done with it, and another takes it away.
    const bar = bob.page.getByRole('toolbar', { name: 'Message actions' });
    await text.tap();
    await bar.waitFor();
    const small = await bar
      .getByRole('button')
      .evaluateAll((all) => all.filter((one) => one.offsetWidth < 44 || one.offsetHeight < 44).map((one) => one.title));
    assert.deepEqual(small, []);
    const edges = await bar.boundingBox();
    assert.ok(edges.x >= 0 && edges.x + edges.width <= 390);
    await bar.getByRole('button', { name: 'React with 👍' }).tap();
    await ann.page.getByRole('button', { name: '👍 1, Bob' }).waitFor();
    await bar.waitFor({ state: 'detached' });
    // It stands out for as long as that is open, and no longer: a finger leaves no pointer behind.
    const ground = () => bob.messages.first().evaluate((one) => getComputedStyle(one).backgroundColor);
    const plain = await bob.messages.last().evaluate((one) => getComputedStyle(one).backgroundColor);
    await text.tap();
    await bar.waitFor();
    assert.notEqual(await ground(), plain);
    await text.tap();
    await bar.waitFor({ state: 'detached' });
    assert.equal(await ground(), plain);
    assert.equal(await bob.page.evaluate(() => document.documentElement.scrollWidth), 390);
  },
);

journey(
  "on a phone: what lies over a channel goes by Escape and by the system's way back, and code stays clear of its button",
  async ({ browser }) => {
    const ann = await browser.person(PHONE);
    const { page } = ann;
    await ann.join('Ann');
    await ann.listed('general').tap();
    await ann.isIn('general');
    await ann.send('The first word');
    await ann.send(`\`\`\`\n${'let much = more; '.repeat(12)}\n\`\`\``);
    const code = await ann.log.locator('pre').boundingBox();
    const copy = await ann.log.getByRole('button', { name: 'Copy the code' }).boundingBox();
    assert.ok(code.x + code.width <= copy.x, 'the button is beside the code');

    // Who is here: over the messages, and away again.
    const people = page.getByRole('button', { name: '1 member online' });
    const members = page.getByRole('complementary', { name: 'Members' });
    await people.tap();
    await members.waitFor();
    await page.keyboard.press('Escape');
    await members.waitFor({ state: 'hidden' });
    await ann.isOn(people);
    await people.tap();
    await members.waitFor();
    await page.goBack();
    await members.waitFor({ state: 'hidden' });
    await ann.isIn('general');

    // The search: back from a result leads to the results, then to the channel, then to the list.
    const search = page.getByRole('complementary', { name: 'Search' });
    await page.getByRole('button', { name: 'Search', exact: true }).tap();
    await page.getByRole('searchbox').fill('first');
    await page.keyboard.press('Enter');
    await search.getByRole('link').tap();
    await search.waitFor({ state: 'hidden' });
    await page.locator('article.target').waitFor();
    await page.waitForFunction(() => document.activeElement.matches('.target'));
    assert.equal(await page.getByRole('toolbar').count(), 0, 'nothing lies over the messages around');
    await page.goBack();
    await search.getByRole('link').waitFor();
    await page.goBack();
    await search.waitFor({ state: 'hidden' });
    await ann.isIn('general');
    await page.getByRole('button', { name: 'Search', exact: true }).tap();
    await search.waitFor();
    await page.getByRole('button', { name: 'Close search' }).tap();
    await search.waitFor({ state: 'hidden' });
    await page.waitForFunction(() => history.state === null);
    await page.goBack();
    await ann.listed('general').waitFor();
  },
);
