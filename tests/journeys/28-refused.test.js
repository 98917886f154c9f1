import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { journey } from './journey.js';

/** Makes the profile in this folder refuse all cookies. */
async function refuseCookies(folder) {
  await mkdir(join(folder, 'Default'));
  await writeFile(
    join(folder, 'Default', 'Preferences'),
    JSON.stringify({ profile: { default_content_setting_values: { cookies: 2 } } }),
  );
}

/** A proxy that names the chat by its own address, as nginx does unless it is told otherwise. */
async function proxyOf(server) {
  const proxy = createServer((asked, answer) => {
    const headers = { ...asked.headers, host: server.host };
    const passed = request(`${server.url}${asked.url}`, { method: asked.method, headers }, (got) => {
      answer.writeHead(got.statusCode, got.headers);
      got.pipe(answer);
    });
    asked.pipe(passed);
  });
  proxy.on('upgrade', (asked, socket) => {
    const passed = request(`${server.url}${asked.url}`, { headers: { ...asked.headers, host: server.host } });
    passed.on('response', (got) => socket.end(`HTTP/1.1 ${got.statusCode} \r\nContent-Length: 0\r\n\r\n`));
    passed.end();
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return proxy;
}

journey('a browser that refuses cookies is told so, and its name stays free', async ({ server, browser }) => {
  const profile = await browser.folder();
  await refuseCookies(profile);
  const ann = await browser.person({ profile, allow: [/status of 401/u] });
  await ann.visit();
  for (let tries = 0; tries < 2; tries += 1) {
    await ann.tryToJoin('Ann');
    await ann.page.getByRole('alert').filter({ hasText: 'Your browser does not store this site’s cookie' }).waitFor();
    await ann.page.getByLabel('Your name').fill('');
    await ann.page.getByRole('alert').filter({ hasText: 'cookie' }).waitFor({ state: 'detached' });
  }
  const other = await browser.joined('Ann', { allow: [/ERR_CONNECTION_REFUSED/u] });
  await other.say('the name was free');
  await other.isSent();
  // A cookie that is for HTTPS alone is another reason, and the server names it.
  await server.kill();
  server.options = ['--secure-cookie'];
  await server.restart();
  await ann.tryToJoin('Bob');
  await ann.page.getByRole('alert').filter({ hasText: 'The server sends its cookie over HTTPS only.' }).waitFor();
});

journey(
  'a proxy that rewrites the host is named as the reason, in the chat and in a room',
  async ({ server, browser }) => {
    const proxy = await proxyOf(server);
    const host = `127.0.0.1:${proxy.address().port}`;
    try {
      const refused = { hosts: [host], allow: [/status of 403/u, /Unexpected response code: 403/u] };
      const ann = await browser.person(refused);
      await ann.page.goto(`http://${host}/embed.html`);
      const [room] = await ann.page.locator('chat-room').all();
      await room.getByText(`The chat’s server refuses this page: pages of http://${host} may not`).waitFor();
      assert.equal(await room.evaluate(({ status }) => status), 'refused');

      // Somebody who has signed in at the chat's own address has its cookie here too.
      await ann.join('Ann');
      await ann.isIn('general');
      await ann.page.goto(`http://${host}/`);
      await ann.page.getByText(`The server refuses this page: pages of http://${host} may not`).waitFor();
    } finally {
      proxy.close();
      proxy.closeAllConnections();
    }
  },
);
