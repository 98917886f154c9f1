import assert from 'node:assert/strict';
import { journey } from './journey.js';

/** Prose of about so many characters, with letters of one to four bytes. */
const prose = (length) =>
  Array.from({ length: length / 10 }, (_, n) => `${n} ${['häus', 'заря', '日本', '😀👍'][(n * n) % 4]} `).join('');

journey('a browser and the server read what the other compresses', async ({ browser }) => {
  const ann = await browser.joined('Ann');
  const texts = [10, 500, 1_000, 7_000].map(prose);
  const seen = await ann.page.evaluate(async (texts) => {
    const socket = new WebSocket('/chat/ws', ['chatcore.v1.lean']);
    const frames = [];
    let heard = () => {};
    socket.addEventListener('message', ({ data }) => {
      frames.push(JSON.parse(data));
      heard();
    });
    const find = async (wanted) => {
      while (!frames.some(wanted)) await new Promise((resolve) => (heard = resolve));
      return frames.find(wanted);
    };
    const ask = (command) => {
      socket.send(JSON.stringify(command));
      return find(({ type, id }) => (type === 'ok' || type === 'error') && id === command.id);
    };
    await find(({ type }) => type === 'welcome');
    await ask({ type: 'subscribe', id: 1, channel: 'general' });
    const events = [];
    for (const [n, text] of texts.entries()) {
      const { seq } = await ask({ type: 'publish', id: 2 + n, channel: 'general', nonce: `n${n}`, text });
      events.push((await find((frame) => frame.type === 'message' && frame.seq === seq)).text);
    }
    for (let n = 0; n < 8; n++)
      await ask({ type: 'publish', id: 10 + n, channel: 'general', nonce: `m${n}`, text: texts[3] });
    const { messages } = await ask({ type: 'history', id: 20, channel: 'general', before: 100 });
    return { extensions: socket.extensions, events, history: messages.map(({ text }) => text) };
  }, texts);
  assert.equal(seen.extensions, 'permessage-deflate; server_no_context_takeover; client_no_context_takeover');
  assert.deepEqual(seen.events, texts);
  assert.deepEqual(seen.history.slice(-12), [...texts, ...Array.from({ length: 8 }, () => texts[3])]);
});
