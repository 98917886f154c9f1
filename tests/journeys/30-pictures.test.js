import assert from 'node:assert/strict';
import { crc32, deflateSync } from 'node:zlib';
import { journey } from './journey.js';
import { picture } from './picture.js';

/** A PNG of one bit a pixel: 48 KB say what takes a gigabyte to draw. */
function blackPng(width, height) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 1;
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const lines = Buffer.alloc(height * (1 + Math.ceil(width / 8)));
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(lines)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Sends files with a text, and waits until the message stands in the log. */
async function sendFiles(person, text, files) {
  const [chooser] = await Promise.all([
    person.page.waitForEvent('filechooser'),
    person.page.getByRole('button', { name: 'Attach files' }).click(),
  ]);
  await chooser.setFiles(files.map(([name, buffer]) => ({ name, mimeType: 'application/octet-stream', buffer })));
  await person.page.waitForFunction(
    (count) => document.querySelectorAll('.upload.done').length === count,
    files.length,
  );
  await person.send(text);
}

/** Which files of messages this person's pages ask for, without the host. */
function asked(person) {
  const paths = [];
  person.context.on('request', (request) => {
    const { pathname, search } = new URL(request.url());
    if (request.method() === 'GET' && pathname.includes('/attachments/'))
      paths.push(pathname.split('/').at(-1) + search);
  });
  return paths;
}

journey(
  'a picture as a stranger chooses it takes a bounded room, and only its preview is fetched',
  async ({ browser }) => {
    // A browser writes of the preview that there is not.
    const allow = [/404 .*broken\.png/u];
    const ann = await browser.joined('Ann', { allow });
    const bob = await browser.joined('Bob', { allow });
    const paths = asked(bob);
    await sendFiles(ann, 'pictures', [
      ['evening.png', (await picture(ann)).buffer],
      ['long.png', blackPng(1, 16_000)],
      ['wide.png', blackPng(16_000, 1)],
      ['endless.png', blackPng(1, 60_000)],
      ['bomb.png', blackPng(20_000, 20_000)],
      ['broken.png', blackPng(640, 480).subarray(0, 60)],
    ]);
    const message = bob.message('pictures');
    const image = (name) => message.getByRole('img', { name });
    const card = (name, about) => message.getByRole('link', { name: `Download ${name}` }).filter({ hasText: about });

    // What is too large, or can't be read, is a card.
    await card('endless.png', '1 × 60,000').waitFor();
    await card('bomb.png', /KB · 20,000 × 20,000/u).waitFor();
    await card('broken.png', '640 × 480').waitFor();
    assert.equal(await message.getByRole('img').count(), 3);

    await bob.page.waitForFunction(() =>
      [...document.querySelectorAll('[role=log] .image img')].every((one) => one.complete && one.naturalWidth > 0),
    );
    for (const [name, width, height] of [
      ['evening.png', 360, 206],
      ['long.png', 1, 300],
      ['wide.png', 360, 1],
    ]) {
      const box = await image(name).boundingBox();
      assert.deepEqual([Math.round(box.width), Math.round(box.height)], [width, height], name);
    }
    assert.equal(await image('evening.png').evaluate((one) => one.naturalWidth), 360);
    assert.deepEqual(
      paths.toSorted(),
      ['broken.png', 'evening.png', 'long.png', 'wide.png'].map((name) => `${name}?preview=360`),
    );

    // The picture itself comes when it is enlarged.
    await message.getByRole('link', { name: 'evening.png' }).click();
    const large = bob.page.getByRole('dialog', { name: 'Image' }).getByRole('img', { name: 'evening.png' });
    await large.waitFor();
    await bob.page.waitForFunction(() => document.querySelector('.lightbox img').naturalWidth === 840);
    assert.equal(paths.at(-1), 'evening.png');
    await bob.page.keyboard.press('Escape');

    // In a narrow window nothing is wider than it, or gets another shape.
    await bob.resize(390, 800);
    await bob.page.goto(`${bob.server.url}/#/c/general`);
    await image('evening.png').scrollIntoViewIfNeeded();
    const { width, height } = await image('evening.png').boundingBox();
    assert.ok(width <= 390 && Math.abs(width / height - 840 / 480) < 0.02, `${width} × ${height}`);
  },
);

journey(
  'on a dense screen the larger preview is fetched, and a moving picture says that it moves',
  async ({ browser }) => {
    const ann = await browser.joined('Ann');
    const bob = await browser.person({ deviceScaleFactor: 2 });
    await bob.join('Bob');
    await bob.isIn('general');
    const paths = asked(bob);
    const gif = Buffer.from('R0lGODlhAgACAIAAAP8AAAAAACH5BAAKAAAALAAAAAACAAIAAAICjFMAOw==', 'base64');
    await sendFiles(ann, 'two', [
      ['evening.png', (await picture(ann)).buffer],
      ['wave.gif', gif],
    ]);
    await bob.page.waitForFunction(
      () => [...document.querySelectorAll('[role=log] .image img')].filter((one) => one.naturalWidth > 0).length === 2,
    );
    assert.deepEqual(paths.toSorted(), ['evening.png?preview=720', 'wave.gif?preview=720']);
    const sign = (name) =>
      bob.log.getByRole('link', { name }).evaluate((link) => getComputedStyle(link, '::after').content);
    assert.deepEqual([await sign('wave.gif'), await sign('evening.png')], ['"GIF"', 'none']);
  },
);
