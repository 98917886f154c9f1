import assert from 'node:assert/strict';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { journey } from './journey.js';

/** A PNG of one colour that the page makes, because nothing binary is kept here. */
async function picture(person, width, height) {
  const bytes = await person.page.evaluate(
    async ([wide, high]) => {
      const canvas = new OffscreenCanvas(wide, high);
      const paint = canvas.getContext('2d');
      paint.fillStyle = 'teal';
      paint.fillRect(0, 0, wide, high);
      return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
    },
    [width, height],
  );
  return Buffer.from(bytes);
}

async function attach(person, files) {
  const [chooser] = await Promise.all([
    person.page.waitForEvent('filechooser'),
    person.page.getByRole('button', { name: 'Attach files' }).click(),
  ]);
  await chooser.setFiles(files);
}

/** Lets go of files over an element as a file manager would, or pastes them. */
function give(person, how, files) {
  return person.page.evaluate(
    ([event, list]) => {
      const data = new DataTransfer();
      for (const { name, type, text } of list) data.items.add(new File([text], name, { type }));
      const field = document.querySelector('chat-composer textarea');
      const options = { bubbles: true, cancelable: true };
      if (event === 'paste') field.dispatchEvent(new ClipboardEvent('paste', { ...options, clipboardData: data }));
      else
        for (const step of ['dragenter', 'dragover', 'drop'])
          field.dispatchEvent(new DragEvent(step, { ...options, dataTransfer: data }));
    },
    [how, files],
  );
}

journey(
  'files travel with a message: progress, preview without a shift, refusal over the limit, cancel, equal names',
  async ({ browser }) => {
    const ann = await browser.joined('Ann');
    const bob = await browser.joined('Bob');
    const tray = ann.page.getByRole('list', { name: 'Attachments' });
    const file = (name, about) => bob.log.getByRole('link', { name: `Download ${name}` }).filter({ hasText: about });
    const done = (count) =>
      ann.page.waitForFunction((wanted) => document.querySelectorAll('.upload.done').length === wanted, count);

    // An image and a card, with a text.
    let letGo;
    const held = new Promise((resolve) => (letGo = resolve));
    await bob.page.route('**/plan.png?preview=*', async (route) => {
      await held;
      await route.continue();
    });
    await attach(ann, [
      { name: 'plan.png', mimeType: 'image/png', buffer: await picture(ann, 640, 480) },
      { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('two lines\n') },
    ]);
    await done(2);
    await ann.say('The plan');
    const image = bob.log.getByRole('img', { name: 'plan.png' });
    await image.waitFor();
    const box = await image.boundingBox();
    assert.deepEqual([box.width, box.height], [360, 270]);
    letGo();
    await bob.page.waitForFunction(() => document.querySelector('[role=log] img').naturalWidth === 360);
    assert.deepEqual(await image.boundingBox(), box);
    const link = bob.log.getByRole('link', { name: 'plan.png' });
    assert.equal(await link.getAttribute('target'), '_blank');
    await link.focus();
    await bob.page.keyboard.press('Enter');
    const lightbox = bob.page.getByRole('dialog', { name: 'Image' });
    await lightbox.getByRole('img', { name: 'plan.png' }).waitFor();
    assert.equal(await lightbox.getByRole('link', { name: 'Download' }).getAttribute('download'), 'plan.png');
    await bob.page.keyboard.press('ArrowRight');
    await lightbox.getByRole('img', { name: 'plan.png' }).waitFor();
    await bob.page.keyboard.press('Escape');
    await lightbox.waitFor({ state: 'detached' });
    await bob.isOn(link);
    const card = file('notes.txt', '10 B');
    const [download] = await Promise.all([bob.page.waitForEvent('download'), card.click()]);
    assert.equal(download.suggestedFilename(), 'notes.txt');

    // Dropped and pasted ones, the same name twice.
    await give(ann, 'drop', [
      { name: 'same.txt', type: 'text/plain', text: 'one' },
      { name: 'same.txt', type: 'text/plain', text: 'two!' },
    ]);
    await give(ann, 'paste', [
      { name: 'pasted.html', type: 'text/html', text: '<script>document.title="pwned"</script>' },
    ]);
    await done(3);
    await ann.page.getByRole('button', { name: 'Send' }).click();
    await file('same.txt', '3 B').waitFor();
    await file('same.txt', '4 B').waitFor();
    const html = file('pasted.html', 'HTML');
    const [page] = await Promise.all([bob.page.waitForEvent('download'), html.click()]);
    assert.equal(page.suggestedFilename(), 'pasted.html');

    // One byte over the limit is refused before anything is sent.
    const large = join(await browser.folder(), 'large.bin');
    await writeFile(large, '');
    await truncate(large, ann.limits.attachment_bytes + 1);
    const uploads = [];
    ann.page.on('request', (request) => request.method() === 'POST' && uploads.push(request.url()));
    await attach(ann, large);
    await tray.getByText(/is too large\. The limit is \d/u).waitFor();
    assert.deepEqual(uploads, []);
    await tray.getByRole('button', { name: 'Dismiss large.bin' }).click();
    await tray.waitFor({ state: 'hidden' });

    // A slow one shows how far it is and can be taken back.
    const network = await ann.context.newCDPSession(ann.page);
    await network.send('Network.enable');
    await network.send('Network.emulateNetworkConditions', {
      offline: false,
      latency: 0,
      downloadThroughput: -1,
      uploadThroughput: 64 * 1024,
    });
    await attach(ann, { name: 'slow.bin', mimeType: 'application/octet-stream', buffer: Buffer.alloc(768 * 1024) });
    const progress = tray.getByRole('progressbar', { name: 'Upload of slow.bin' });
    await progress.waitFor();
    await ann.page.waitForFunction(() => {
      const { value } = document.querySelector('.upload progress');
      return value > 0 && value < 1;
    });
    await tray.getByRole('button', { name: 'Cancel slow.bin' }).click();
    await tray.waitFor({ state: 'hidden' });
    await network.detach();

    assert.match(await bob.page.title(), /#general/u);
  },
);
