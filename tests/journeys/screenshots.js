import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Browser } from './browser.js';
import { Server } from './server.js';

/** Takes pictures of the main states into the folder given as the argument, for a person to look at. */
const [folder] = process.argv.slice(2);
if (!folder) throw new Error('usage: npm run screenshots -- <folder>');
await mkdir(folder, { recursive: true });

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const SCHEMES = ['light', 'dark'];

const server = await Server.start();
const browser = new Browser(server);
const anything = { allow: [/./u] };

async function take(person, name) {
  for (const colorScheme of SCHEMES) {
    await person.page.emulateMedia({ colorScheme });
    const { width } = person.page.viewportSize();
    await person.page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`) });
  }
}

/** A picture with something in it, as a file. */
async function picture(person) {
  const bytes = await person.page.evaluate(async () => {
    const canvas = new OffscreenCanvas(900, 560);
    const paint = canvas.getContext('2d');
    const sky = paint.createLinearGradient(0, 0, 0, 560);
    sky.addColorStop(0, '#24485e');
    sky.addColorStop(1, '#f0b67f');
    paint.fillStyle = sky;
    paint.fillRect(0, 0, 900, 560);
    paint.fillStyle = '#fff3d6';
    paint.arc(620, 330, 70, 0, 7);
    paint.fill();
    paint.fillStyle = '#163040';
    paint.beginPath();
    [[0, 560], [0, 430], [190, 300], [330, 420], [520, 250], [720, 440], [900, 350], [900, 560]].forEach(([x, y]) => paint.lineTo(x, y));
    paint.fill();
    return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
  });
  return { name: 'evening.png', mimeType: 'image/png', buffer: Buffer.from(bytes) };
}

async function attach(person, files, count) {
  const [chooser] = await Promise.all([
    person.page.waitForEvent('filechooser'),
    person.page.getByRole('button', { name: 'Attach files' }).click(),
  ]);
  await chooser.setFiles(files);
  await person.page.waitForFunction((wanted) => document.querySelectorAll('.upload.done').length === wanted, count);
}

async function send(person, text) {
  await person.field.fill(text);
  await person.page.getByRole('button', { name: 'Send' }).click();
  await person.isSent();
}

try {
  const ann = await browser.person(anything);
  const bob = await browser.person({ ...anything, ...PHONE });
  await ann.visit();
  await bob.visit();
  await take(ann, '01-sign-in');
  await take(bob, '01-sign-in');
  await ann.tryToJoin('Ann Lindqvist');
  await ann.isIn('general');
  await take(ann, '02-empty-channel');
  for (const name of ['design', 'release', 'rust']) await ann.createChannel(name);
  await ann.open('general');

  await bob.tryToJoin('Bob');
  await bob.listed('general').waitFor();
  await bob.listed('general').tap();
  await bob.isIn('general');
  await send(ann, 'Good morning! The notes for the release are ready to read: https://example.org/notes/2026-11');
  await send(ann, 'One question is open: the upgrade guide.\nDo we keep the two old pages, or fold them into one?');
  await send(bob, 'One page. Nobody finds the second one anyway.');
  await send(bob, 'I can write it this afternoon, if somebody reads it before it goes out.');
  await send(ann, 'I will. Put it here when you have a draft.');
  await send(bob, 'مرحبا بالجميع');
  await bob.field.pressSequentially('And now the draft', { delay: 250 });
  await ann.page.getByText('Bob is typing…').waitFor();
  await take(ann, '03-busy-channel');
  await take(bob, '03-busy-channel');

  const guide = { name: 'Upgrade guide, second draft.pdf', mimeType: 'application/pdf', buffer: Buffer.from('%PDF-1.4\n'.padEnd(131_072, ' ')) };
  await attach(bob, [await picture(bob), guide], 2);
  await take(bob, '04-attachments-ready');
  await send(bob, 'The draft, and the view from here');
  await ann.page.waitForFunction(() => document.querySelector('[role=log] img')?.complete);
  await take(ann, '04-attachments');
  await take(bob, '04-attachments');

  await ann.open('rust');
  await send(bob, 'It is at the top of the page now.');
  await ann.page.getByRole('link', { name: 'general 1 unread' }).waitFor();
  await ann.page.getByRole('button', { name: 'Ann Lindqvist' }).click();
  await take(ann, '05-unread-and-menu');
  await ann.page.keyboard.press('Escape');
  await ann.page.keyboard.press('Control+k');
  await take(ann, '10-switcher');
  await ann.page.keyboard.type('re');
  await take(ann, '11-switcher-typed');
  await ann.page.keyboard.press('Escape');
  await ann.page.keyboard.press('Control+/');
  await take(ann, '12-help');
  await ann.page.keyboard.press('Escape');
  await ann.tryToCreate('Rust');
  await ann.page.getByText('#rust exists already.').waitFor();
  await take(ann, '06-name-taken');
  await ann.page.keyboard.press('Escape');
  await bob.page.getByRole('link', { name: 'All channels' }).tap();
  await bob.listed('general').waitFor();
  await ann.open('general');
  await send(ann, '@Bob thank you!');
  await bob.page.getByRole('link', { name: 'general 1 unread, 1 mention' }).waitFor();
  await take(bob, '07-list');
  await bob.listed('general').tap();
  await bob.isIn('general');
  for (const person of [ann, bob]) {
    await person.page.getByRole('button', { name: 'Search', exact: true }).click();
    await person.page.getByRole('searchbox').fill('draft');
    await person.page.keyboard.press('Enter');
    await person.page.locator('chat-search').getByRole('status').filter({ hasText: 'results' }).waitFor();
    await take(person, '13-search');
    await person.page.locator('chat-search').getByRole('link').last().click();
    await person.page.locator('article.target').waitFor();
    await take(person, '14-found');
  }
  await ann.page.getByRole('button', { name: 'Close search' }).click();

  await server.kill();
  await ann.field.fill('This one waits for the connection.');
  await ann.field.press('Enter');
  await ann.page.getByText('You are offline.').waitFor();
  await take(ann, '08-offline');
  await take(bob, '08-offline');
  await ann.page.getByText('Not sent.').waitFor();
  await take(ann, '09-not-sent');
} finally {
  await browser.close();
  await server.stop();
}
