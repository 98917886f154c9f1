import assert from 'node:assert/strict';
import { Elsewhere } from './elsewhere.js';
import { journey } from './journey.js';
import { picture } from './picture.js';
import { roomOf } from './room.js';

/** A picture that is drawn, and not only in its place. */
const isDrawn = (image) => image.evaluate((element) => element.decode().then(() => element.naturalWidth > 0));

journey(
  'a page of a told origin has a room, with pictures and uploads; one of another origin has none',
  async ({ server, browser }) => {
    const told = await Elsewhere.open(server);
    const foreign = await Elsewhere.open(server);
    try {
      await server.kill();
      server.options = ['--origin', told.url];
      await server.restart();
      const ann = await browser.joined('Ann', { hosts: [told.host] });
      const bob = await browser.joined('Bob', {
        hosts: [foreign.host],
        allow: [/blocked by CORS policy/u, /net::ERR_FAILED/u, /status of 403/u, /Unexpected response code: 403/u],
      });
      await ann.page.goto(told.url);
      const general = roomOf(ann, 'general');
      await general.say('hello from elsewhere');
      await bob.sees('hello from elsewhere');

      // A picture that is uploaded and shown from there, and again after a reload, small and large.
      const [chooser] = await Promise.all([
        ann.page.waitForEvent('filechooser'),
        general.room.getByRole('button', { name: 'Attach files' }).click(),
      ]);
      await chooser.setFiles(await picture(ann));
      await general.room.getByRole('button', { name: 'Send' }).click();
      const link = general.room.getByRole('log').getByRole('link', { name: 'evening.png' });
      assert.ok(await isDrawn(link.getByRole('img')));
      await ann.page.reload();
      assert.ok(await isDrawn(link.getByRole('img')));
      assert.equal(new URL(await link.getAttribute('href')).host, server.host);
      await link.click();
      const large = general.room.getByRole('dialog', { name: 'Image' }).getByRole('img', { name: 'evening.png' });
      assert.ok(await isDrawn(large));
      const [file] = await bob.page.evaluate(() => [...document.querySelectorAll('.image img')].map(({ src }) => src));

      // A page of an origin that was not told: no client, no socket, no sign-in, no file.
      await bob.page.goto(foreign.url);
      const reached = await bob.page.evaluate(
        async ([chat, picture]) => {
          const isAnswered = (url, options) =>
            fetch(url, { credentials: 'include', ...options }).then(
              () => true,
              () => false,
            );
          const opens = new Promise((resolve) => {
            const socket = new WebSocket(`${chat.replace('http', 'ws')}/chat/ws`, 'chatcore.v1.lean');
            socket.onopen = () => resolve(true);
            socket.onerror = () => resolve(false);
          });
          const shows = new Promise((resolve) => {
            const image = new Image();
            image.onload = () => resolve(true);
            image.onerror = () => resolve(false);
            image.crossOrigin = 'use-credentials';
            image.src = picture;
          });
          return {
            client: customElements.get('chat-room') !== undefined,
            file: await isAnswered(picture),
            picture: await shows,
            session: await isAnswered(`${chat}/session`),
            signOut: await isAnswered(`${chat}/session`, { method: 'DELETE' }),
            socket: await opens,
          };
        },
        [server.url, file],
      );
      assert.deepEqual(reached, {
        client: false,
        file: false,
        picture: false,
        session: false,
        signOut: false,
        socket: false,
      });
      await bob.visit();
      await bob.isIn('general');
    } finally {
      told.close();
      foreign.close();
    }
  },
);
