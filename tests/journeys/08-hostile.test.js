import assert from 'node:assert/strict';
import { BODIES, FILES, NAMES, REFUSED_CHANNELS, REFUSED_NAMES } from './hostile.js';
import { journey } from './journey.js';

const TEXTS = [
  '<img src=x onerror="document.title=\'pwned\'">',
  '<script>document.title="pwned"</script>',
  'javascript:alert(1) data:text/html,<b>x</b>',
  '&lt;b&gt; \u202Eevil\u202C "quotes" \'and\' ticks`',
];

/** Measures for how long the page keeps its thread busy: what it runs, however long the machine lets it wait. */
async function stopwatch({ context, page }) {
  const debug = await context.newCDPSession(page);
  await debug.send('Performance.enable', { timeDomain: 'threadTicks' });
  const read = async () => {
    const { metrics } = await debug.send('Performance.getMetrics');
    return 1000 * metrics.find(({ name }) => name === 'TaskDuration').value;
  };
  const start = await read();
  return async () => (await read()) - start;
}

journey('hostile text and names are literal, and a long one does not hold up the page', async ({ browser }) => {
  const mallory = await browser.person();
  await mallory.join('<b>Mallory</b> "&amp;');
  await mallory.createChannel('odd', '<i onclick="document.title=\'pwned\'">topic</i>');
  const ann = await browser.person();
  await ann.join('Ann');
  await ann.enter('odd');
  let dialogs = 0;
  ann.page.on('dialog', (dialog) => {
    dialogs += 1;
    return dialog.dismiss();
  });

  for (const text of TEXTS) {
    await mallory.say(text);
    await ann.sees(text);
  }
  assert.deepEqual(
    (await ann.transcript()).map(({ text }) => text),
    TEXTS,
  );
  assert.equal(await ann.log.locator('img, script, b, i').count(), 0);
  assert.equal(await ann.log.locator('a').count(), 0);
  assert.equal(await ann.log.locator('.author').first().textContent(), '<b>Mallory</b> "&amp;');
  assert.equal(await ann.page.locator('.topic').textContent(), '<i onclick="document.title=\'pwned\'">topic</i>');

  const busyMs = await stopwatch(ann);
  await mallory.say('>'.repeat(4000));
  await ann.sees('>'.repeat(4000));
  const busy = await busyMs();
  assert.ok(busy < 100, `the page was busy for ${busy} ms`);

  await mallory.tryToCreate('<script>alert(1)</script>');
  await mallory.page.getByRole('dialog').getByRole('alert').filter({ hasText: 'Use 1 to 64 letters' }).waitFor();
  assert.equal(await mallory.listed('odd').count(), 1);
  assert.match(await ann.page.title(), /#odd/u);
  assert.equal(dialogs, 0);
});

journey('only safe addresses become links, and they do not lead back', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await ann.say('see https://example.org/a_(b), ftp://example.org and mailto:ann@example.org');
  const links = await ann.log.locator('a').evaluateAll((all) => all.map((link) => [link.href, link.rel, link.target]));
  const rel = 'noopener noreferrer nofollow';
  assert.deepEqual(links, [
    ['https://example.org/a_(b)', rel, '_blank'],
    ['mailto:ann@example.org', rel, '_blank'],
  ]);
});

/** All of a hostile text is on the page as text, and nothing else came of it. */
journey('nothing that a person can write is more than text', async ({ browser }) => {
  const ann = await browser.person();
  const mallory = await browser.person();
  await ann.join('Ann');
  await ann.isIn('general');
  await mallory.join(NAMES[0]);
  await mallory.isIn('general');
  const asked = [];
  ann.page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  for (const [at, text] of BODIES.entries()) {
    await mallory.field.fill(text);
    await mallory.page.getByRole('button', { name: 'Send' }).click();
    await mallory.counts(at + 1);
    // The server lets a user write so much a second, and the client waits by itself.
    if (at % 10 === 9) await mallory.isSent();
  }
  await ann.counts(BODIES.length);
  const shown = await ann.messages.locator('.text').evaluateAll((all) => all.map((one) => one.textContent));
  assert.deepEqual(
    shown,
    BODIES.map((text) => text.trim()),
  );
  const strange =
    'script, style, link, meta, base, form, iframe, svg:not(.icon), math, template, input, details, [onload], [onerror], [onclick], [style]';
  assert.equal(await ann.log.locator(strange).count(), 0);
  // An address is an address wherever it stands, and what it says is where it leads.
  const links = await ann.log
    .locator('a')
    .evaluateAll((all) => all.map((link) => [link.protocol, link.rel, link.textContent.startsWith(link.origin)]));
  assert.ok(links.length > 0);
  for (const link of links) assert.deepEqual(link, ['https:', 'noopener noreferrer nofollow', true]);
  assert.equal(await ann.log.locator('img').count(), 0);
  // Names of emoji, and the tab's icon.
  assert.deepEqual(
    asked.filter((path) => !/\/(emoji\.json|icon(-mentions)?\.svg)$/u.test(path)),
    [],
  );
  // No text makes the page wider than its window, and none covers the messages around it.
  assert.equal(await ann.log.evaluate((log) => log.scrollWidth <= log.clientWidth), true);
  assert.match(await ann.page.title(), /#general/u);

  const [chooser] = await Promise.all([
    mallory.page.waitForEvent('filechooser'),
    mallory.page.getByRole('button', { name: 'Attach files' }).click(),
  ]);
  await chooser.setFiles(FILES.map((name) => ({ name, mimeType: 'text/plain', buffer: Buffer.from('x') })));
  await mallory.page.waitForFunction(
    (wanted) => document.querySelectorAll('.upload.done').length === wanted,
    FILES.length,
  );
  await mallory.say('files');
  await ann.page.waitForFunction(
    (wanted) => document.querySelectorAll('[role=log] .file').length === wanted,
    FILES.length,
  );
  assert.equal(await ann.log.locator('img').count(), 0);
  const [download] = await Promise.all([ann.page.waitForEvent('download'), ann.log.locator('.file').first().click()]);
  assert.ok(new URL(download.url()).host === ann.server.host);

  for (const name of NAMES.slice(1)) {
    const other = await browser.person({ allow: [/422/u] });
    await other.visit();
    await other.tryToJoin(name);
    const refused = other.page.getByRole('alert').filter({ hasText: /./u });
    await other.page.locator('chat-shell').or(refused).first().waitFor();
    if (await refused.isVisible()) continue;
    await other.isIn('general');
    await other.say('hello');
    await ann.log.locator('.author').getByText(name, { exact: true }).waitFor();
    await other.context.close();
  }
});

journey('a name that is none is refused beside its field, and what was written stays', async ({ browser }) => {
  const ann = await browser.person({ allow: [/400|422/u] });
  await ann.visit();
  const field = ann.page.getByLabel('Your name');
  const refusal = ann.page.getByRole('alert').filter({ hasText: 'Use 1 to 32 characters, none of them invisible.' });
  for (const name of REFUSED_NAMES) {
    await ann.tryToJoin(name);
    await refusal.waitFor();
    assert.equal(await field.inputValue(), name);
    assert.equal(await field.getAttribute('aria-invalid'), 'true');
    await field.fill('');
    await refusal.waitFor({ state: 'hidden' });
  }
  await ann.tryToJoin('Ann');
  await ann.isIn('general');

  await ann.page.getByRole('button', { name: 'Create a channel' }).first().click();
  const dialog = ann.page.getByRole('dialog', { name: 'Create a channel' });
  for (const name of REFUSED_CHANNELS) {
    await dialog.getByLabel('Name').fill(name);
    await dialog.getByRole('button', { name: 'Create', exact: true }).click();
    await dialog.getByRole('alert').filter({ hasText: 'Use 1 to 64 letters' }).waitFor();
    assert.equal(await dialog.getByLabel('Name').inputValue(), name);
    await dialog.getByLabel('Name').fill('');
    await dialog.getByRole('alert').filter({ hasText: /./u }).waitFor({ state: 'hidden' });
  }
  await ann.page.keyboard.press('Escape');
  assert.equal(await ann.page.getByRole('navigation', { name: 'Channels' }).getByRole('listitem').count(), 1);
});
