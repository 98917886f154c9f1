import assert from 'node:assert/strict';
import { journey } from './journey.js';
import { beneath, bringBack, newLine, placeOf, putBehind, scrollTo } from './sight.js';

/** Two people in `general`. */
async function both(browser) {
  const ann = await browser.joined('Ann');
  const bob = await browser.joined('Bob');
  return { ann, bob };
}

/** Waits until the page has heard of a message, drawn or not. A page behind draws no frames to look at. */
function hears(person, text) {
  return person.page.waitForFunction(
    (wanted) => document.querySelector('chat-announcer').textContent.includes(wanted),
    text,
    { polling: 50 },
  );
}

journey('what came to a tab in the background stands beneath the New line', async ({ browser }) => {
  const { ann, bob } = await both(browser);
  await ann.say('before');
  await bob.sees('before');
  const other = await bob.context.newPage();
  await other.goto(`${bob.server.url}/#/c/elsewhere`);

  await putBehind(bob.page);
  for (const text of ['one', 'two', 'three']) await ann.say(text);
  await hears(bob, 'three');
  // Nobody has seen them, so the other tab counts them.
  await other.getByRole('link', { name: 'general 3 unread' }).waitFor();
  await bringBack(bob.page);
  await newLine(bob.page).waitFor();
  assert.equal(await beneath(newLine(bob.page)), 'one');
  await other.getByRole('link', { name: 'general', exact: true }).waitFor();
});

journey('what came just before one looked away and was never drawn is new', async ({ browser }) => {
  const { ann, bob } = await both(browser);
  await ann.say('before');
  await bob.sees('before');
  await bob.page.evaluate(() => {
    globalThis.held = [];
    globalThis.draw = globalThis.requestAnimationFrame;
    globalThis.requestAnimationFrame = (run) => globalThis.held.push(run);
  });
  await ann.say('never drawn');
  await hears(bob, 'never drawn');
  await putBehind(bob.page);
  await bob.page.evaluate(() => {
    for (const run of globalThis.held) globalThis.draw(run);
  });
  await newLine(bob.page).waitFor();
  assert.equal(await beneath(newLine(bob.page)), 'never drawn');
});

/** Long messages, enough for a reader to be in the midst of them. */
async function longMessages(person, count) {
  await person.page.evaluate(
    (total) =>
      new Promise((resolve, reject) => {
        const socket = new WebSocket(`ws://${location.host}/chat/ws`, ['chatcore.v1.lean']);
        const publish = (id) =>
          socket.send(
            JSON.stringify({
              type: 'publish',
              id,
              channel: 'general',
              nonce: `long-${id}`,
              text: `${id}: ${'a sentence that is wrapped. '.repeat((id % 12) + 6)}`,
            }),
          );
        socket.onmessage = ({ data }) => {
          const frame = JSON.parse(data);
          if (frame.type === 'error') reject(new Error(data));
          if (frame.type === 'welcome') publish(1);
          if (frame.type !== 'ok') return;
          if (frame.id === total) resolve(socket.close());
          else publish(frame.id + 1);
        };
      }),
    count,
  );
}

journey('the line being read stays where it is, whatever changes the layout', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await longMessages(ann, 250);
  await ann.page.reload();
  await ann.counts(100);
  const line = await scrollTo(ann, 4000);
  await ann.page.getByRole('button', { name: 'Go to the newest message' }).waitFor();
  const stays = async (what) => {
    const moved = Math.abs((await placeOf(ann, line.seq)) - line.top);
    assert.ok(moved <= 1, `${what} moved the line ${moved} px`);
  };
  await stays('nothing');

  await ann.page.getByRole('button', { name: 'Search', exact: true }).click();
  await stays('the search');
  await ann.page.getByRole('button', { name: 'Close search' }).click();
  await stays('closing the search');
  await ann.page.getByRole('button', { name: /online$/u }).click();
  await stays('the members');
  for (const [width, height] of [
    [800, 800],
    [640, 500],
    [1280, 800],
  ]) {
    await ann.resize(width, height);
    await stays(`a window of ${width} × ${height}`);
  }
  await ann.page.evaluate(() => (document.body.style.fontSize = '20px'));
  await stays('a larger font');
  await ann.page.evaluate(() => (document.body.style.fontSize = ''));
  await stays('the font as before');
  await ann.page.evaluate(() => {
    const banner = document.querySelector('chat-banner');
    banner.hidden = false;
  });
  await stays('a banner above');
  await ann.field.fill('one\ntwo\nthree\nfour');
  await stays('a higher composer');
});

journey('a layout that changes along with a new message moves no line', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  await longMessages(ann, 120);
  await ann.page.reload();
  await ann.counts(100);
  const line = await scrollTo(ann, 3000);
  await ann.isDrawn();
  // The width, what is drawn and where the reader is, all within one frame.
  await ann.page.evaluate(() => {
    document.querySelector('.pane-main').style.paddingInlineEnd = '300px';
    document.querySelector('chat-timeline').render();
  });
  const moved = Math.abs((await placeOf(ann, line.seq)) - line.top);
  assert.ok(moved <= 1, `the line moved ${moved} px`);
});

journey('on a phone nothing is read beneath the search', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const bob = await browser.person({ viewport: { width: 390, height: 780 } });
  await bob.join('Bob');
  await bob.open('general');
  await ann.say('before');
  await bob.sees('before');
  const other = await bob.context.newPage();
  await other.setViewportSize({ width: 1280, height: 800 });
  await other.goto(`${bob.server.url}/#/c/elsewhere`);
  await other.getByRole('link', { name: 'general', exact: true }).waitFor();

  await bob.page.getByRole('button', { name: 'Search', exact: true }).first().click();
  await ann.say('beneath');
  await other.getByRole('link', { name: 'general 1 unread' }).waitFor();
  await bob.page.getByRole('button', { name: 'Close search' }).click();
  await newLine(bob.page).waitFor();
  assert.equal(await beneath(newLine(bob.page)), 'beneath');
  await other.getByRole('link', { name: 'general', exact: true }).waitFor();
});
