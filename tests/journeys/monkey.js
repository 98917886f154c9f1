/**
 * Two people who do whatever comes to mind, on a server that dies now and then and over a network that goes now and then.
 * In the end both see the same, nothing waits, and no page has had trouble. `CHATCORE_SEED` repeats a run; `STEPS` is how
 * much they do.
 */

import assert from 'node:assert/strict';
import { seeded } from '../ui/fakes.js';
import { Browser } from './browser.js';
import { serveEmoji } from './emoji.js';
import { Server } from './server.js';
import { Network } from './network.js';

const SEED = Number(process.env.CHATCORE_SEED ?? Math.floor(Math.random() * 2 ** 32));
const STEPS = Number(process.env.STEPS ?? 200);

const CHANNELS = ['general', 'art', 'rust'];

/** How many messages of a channel are compared. */
const COMPARED = 90;

/** How long an act may take; many can't be done where somebody is at the moment. */
const ACT_MS = 1500;

const random = seeded(SEED);
const below = (count) => Math.floor(random() * count);
const one = (all) => all[below(all.length)];

let written = 0;

/** The next text: each is another one. */
function text() {
  written += 1;
  return one([
    `hello ${written}`,
    `**bold** \`code\` ${written}`,
    `@Ann @Bob look ${written}`,
    `\`\`\`\nlet n = ${written};\n\`\`\``,
    `> quoted ${written}\n- an item`,
    `😀 ${written}`,
    `https://example.org/${written}`,
    `${'long '.repeat(below(600))}${written}`,
  ]);
}

/** One of what is on the page. */
async function oneOf(locator) {
  const count = await locator.count();
  assert.ok(count > 0, 'there is none');
  return locator.nth(below(count));
}

async function act(person, name) {
  await (await oneOf(person.log.locator('article[data-seq]'))).hover();
  await person.page.getByRole('toolbar').getByRole('button', { name, exact: true }).click();
}

/** What somebody may do. */
const ACTS = {
  say: ({ person }) => person.say(text()),
  async sayMore({ person }) {
    for (let count = below(4); count >= 0; count -= 1) await person.say(text());
  },
  draft: ({ person }) => person.field.fill(text()),
  open: ({ person }) => person.listed(one(CHANNELS)).click(),
  react: ({ person }) => act(person, 'React with 👍'),
  reactAgain: async ({ person }) => (await oneOf(person.log.locator('.reaction'))).click(),
  async reply({ person }) {
    await act(person, 'Reply');
    await person.field.fill(text());
    await person.field.press(one(['Enter', 'Escape']));
  },
  async edit({ person }) {
    await person.field.fill('');
    await person.field.press('ArrowUp');
    await person.field.fill(text());
    await person.field.press(one(['Enter', 'Escape']));
  },
  async remove({ person }) {
    await act(person, 'Delete');
    if (below(2)) await person.page.getByRole('button', { name: 'Undo' }).first().click();
  },
  quote: async ({ person }) => (await oneOf(person.log.locator('.quote'))).click(),
  async search({ person: { page } }) {
    await page.keyboard.press('Control+Shift+F');
    await page.getByRole('searchbox').fill(one(['hello', 'code', 'nothing of the kind']));
    await page.keyboard.press('Enter');
    await (await oneOf(page.locator('chat-search').getByRole('link'))).click();
    await page.keyboard.press('Escape');
  },
  async switcher({ person: { page } }) {
    await page.keyboard.press('Control+k');
    await page.keyboard.type(one(['gen', 'ar', 'ru', '']));
    await page.keyboard.press(one(['Enter', 'Escape']));
  },
  async emoji({ person: { page } }) {
    await page.getByRole('button', { name: 'Insert an emoji' }).click();
    await page.keyboard.type('cat');
    await page.keyboard.press(one(['Enter', 'Escape']));
  },
  async keys({ person: { page } }) {
    const keys = [
      'ArrowUp',
      'ArrowDown',
      'Tab',
      'Shift+Tab',
      'Escape',
      'Home',
      'End',
      'Alt+ArrowUp',
      'Alt+ArrowDown',
      'Alt+Shift+ArrowDown',
    ];
    for (let count = below(6); count >= 0; count -= 1) await page.keyboard.press(one(keys));
  },
  scroll: ({ person }) =>
    person.log.evaluate((log, share) => (log.scrollTop = log.scrollHeight * share), one([0, 0.3, 0.6, 1])),
  pill: ({ person }) => person.page.locator('.pill').click(),
  message: ({ person }) =>
    person.page.evaluate((hash) => (location.hash = hash), `#/c/${one(CHANNELS)}/${1 + below(60)}`),
  async back({ person }) {
    await person.page.evaluate((steps) => history.go(steps), one([-1, 1]));
    // Before the first page there is none of ours.
    await person.isDrawn();
    if (!person.page.url().startsWith(person.server.url)) await person.visit();
  },
  reload: ({ person }) => person.page.reload(),
  async tab({ person }) {
    const tab = await person.context.newPage();
    await tab.goto(`${person.server.url}/#/c/${one(CHANNELS)}`);
    await tab.getByRole('log').waitFor();
    await tab.close();
  },
  size: ({ person }) => person.resize(one([390, 800, 1280]), one([400, 800])),
  paste: ({ person }) =>
    person.field.evaluate(
      (field, name) => {
        const data = new DataTransfer();
        data.items.add(new File(['text'], name, { type: 'text/plain' }));
        field.dispatchEvent(new ClipboardEvent('paste', { bubbles: true, cancelable: true, clipboardData: data }));
      },
      `${below(1000)}.txt`,
    ),
  retry: async ({ person }) => (await oneOf(person.page.getByRole('button', { name: /^(?:Retry|Try now)$/u }))).click(),
  cut: ({ network }) => network.cut(),
  async mend({ person, network }) {
    network.mend();
    await person.page.evaluate(() => dispatchEvent(new Event('online')));
  },
  async kill({ person }) {
    await person.server.kill();
    await person.server.restart();
  },
};

async function toEnd(person) {
  await person.isDrawn();
  const pill = person.page.locator('.pill');
  if (await pill.isVisible()) await pill.click();
  await person.isDrawn();
}

/** Brings somebody to rest in a channel: online, all sent, all read. */
async function rest({ person, network }, channel) {
  network.mend();
  await person.resize(1280, 800);
  await person.page.keyboard.press('Escape');
  await person.visit(`/#/c/${channel}`);
  await person.isIn(channel);
  await person.page.waitForFunction(
    () => {
      dispatchEvent(new Event('online'));
      for (const button of document.querySelectorAll('article.failed .link'))
        if (button.textContent === 'Retry') button.click();
      return !document.querySelector('article:not([data-seq]), article.leaving');
    },
    undefined,
    { polling: 500 },
  );
  await toEnd(person);
  await person.page.getByRole('link', { name: channel, exact: true }).waitFor();
}

async function seenEverywhere(whose) {
  const places = {};
  for (const channel of CHANNELS) places[channel] = await seen(whose, channel);
  return places;
}

/** What stands in a channel. */
async function seen({ person }, channel) {
  await person.visit(`/#/c/${channel}`);
  await person.isIn(channel);
  await toEnd(person);
  const all = await person.messages.evaluateAll((articles) =>
    articles.map((article) => ({
      seq: article.dataset.seq,
      who: article.getAttribute('aria-label').split(',')[0],
      text: (article.querySelector('.text') ?? article.querySelector('.tombstone'))?.textContent,
      reactions: [...article.querySelectorAll('.reaction:not(.add)')].map((reaction) => reaction.textContent),
      files: article.querySelectorAll('.file').length,
    })),
  );
  return all.slice(-COMPARED);
}

async function run(people, done) {
  for (let step = 0; step < STEPS; step += 1) {
    const whose = one(people);
    const name = one(Object.keys(ACTS));
    try {
      await ACTS[name](whose);
      done.push(`${whose.name} ${name}`);
    } catch (error) {
      done.push(`${whose.name} ${name}: ${error.message.split('\n')[0]}`);
    }
    for (const { person } of people) person.wasFine();
  }
  for (const { person } of people) person.page.setDefaultTimeout(30_000);
  for (const channel of CHANNELS) for (const whose of people) await rest(whose, channel);
  const [ann, bob] = await Promise.all(people.map(seenEverywhere));
  assert.deepEqual(ann, bob);
  await Promise.all(people.map(({ person }) => person.page.reload()));
  assert.deepEqual(await seenEverywhere(people[0]), ann, 'a reload shows nothing else');
  for (const { person } of people) person.wasFine();
}

const server = await Server.start();
const browser = new Browser(server);
const done = [];
try {
  const people = [];
  for (const name of ['Ann', 'Bob']) {
    const person = await browser.joined(name, { allow: [/WebSocket connection|net::ERR_/u] });
    await serveEmoji(person);
    people.push({ name, person, network: await Network.of(person) });
  }
  for (const channel of CHANNELS.slice(1)) await people[0].person.createChannel(channel);
  for (const { person } of people) {
    await person.page.reload();
    person.page.setDefaultTimeout(ACT_MS);
  }
  await run(people, done);
  console.log(`${STEPS} steps with seed ${SEED}: both see the same`);
} catch (error) {
  console.error(`${done.join('\n')}\nCHATCORE_SEED=${SEED}: ${error.stack}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  await Browser.quit();
  await server.stop();
}
