import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeShelf, settle } from './fakes.js';
import { opened } from './world.js';

const FILE = { id: 'f1', name: 'plan.png', size: 3, content_type: 'image/png', width: null, height: null, url: '/f1' };

/** Files on their way, which a test moves on. */
class FakeUploads {
  busy = true;
  trouble = '';
  attachments = [];
  files = ['plan.png'];
  retries = 0;
  cleared = 0;
  onChange = () => {};

  become(change) {
    Object.assign(this, { busy: false, trouble: '' }, change);
    this.onChange();
  }

  retry() {
    this.retries += 1;
    this.become({ busy: true });
  }

  clear() {
    this.cleared += 1;
    this.onChange();
  }
}

const states = (core) =>
  core.outbox.of('general').map(({ text, state, error }) => [text, state, error?.message].filter(Boolean).join(' '));

test('a message waits for its files and goes with them', async () => {
  const { core, socket } = await opened();
  const uploads = new FakeUploads();
  core.send('general', { text: 'look', uploads });
  assert.deepEqual(states(core), ['look uploading']);
  assert.equal(socket.take('publish'), null);
  uploads.become({ attachments: [FILE] });
  assert.deepEqual(states(core), ['look pending']);
  assert.deepEqual(socket.take('publish').attachments, ['f1']);
  assert.equal(uploads.cleared, 1);
});

test('later messages do not overtake one that waits for files', async () => {
  const { core, socket } = await opened();
  const uploads = new FakeUploads();
  core.send('general', { text: 'first', uploads });
  core.send('general', { text: 'second' });
  core.send('other', { text: 'elsewhere' });
  assert.equal(socket.take('publish').text, 'elsewhere');
  assert.equal(socket.take('publish'), null);
  uploads.become({ attachments: [FILE] });
  assert.equal(socket.take('publish').text, 'first');
});

test('a message whose file fails says so and stays', async () => {
  const { core, socket, clock } = await opened();
  const uploads = new FakeUploads();
  core.send('general', { text: 'look', uploads });
  core.send('general', { text: 'after' });
  uploads.become({ trouble: '“plan.png” was not uploaded.' });
  assert.deepEqual(states(core)[0], 'look failed “plan.png” was not uploaded.');
  // What was written later need not wait for it.
  assert.equal(socket.take('publish').text, 'after');
  await clock.advance(60_000);
  assert.match(states(core)[0], /^look failed “plan/u);
  core.outbox.retry('n1');
  assert.equal(uploads.retries, 1);
  assert.deepEqual(states(core)[0], 'look uploading');
});

test('a message without text goes away with its last file', async () => {
  const { core, socket } = await opened();
  const uploads = new FakeUploads();
  core.send('general', { text: '', uploads });
  uploads.become({});
  assert.deepEqual(states(core), []);
  assert.equal(socket.take('publish'), null);
});

test('giving a message up stops its uploads', async () => {
  const { core } = await opened();
  const uploads = new FakeUploads();
  core.send('general', { text: 'look', uploads });
  core.outbox.remove('n1');
  assert.equal(uploads.cleared, 1);
  assert.deepEqual(states(core), []);
});

test('a message that waits for files is uploaded again after a reload', async () => {
  const shelf = new FakeShelf();
  const first = await opened(0, { shelf });
  first.core.send('general', { text: 'look', uploads: new FakeUploads() });
  first.core.send('general', { text: 'after' });
  await settle();
  first.core.stop();

  const uploads = new FakeUploads();
  const asked = [];
  const { core, socket } = await opened(0, {
    shelf,
    tab: 'second ',
    ready: (next) => {
      next.outbox.uploadsOf = (entry) => {
        asked.push(entry);
        return uploads;
      };
    },
  });
  assert.deepEqual(states(core), ['look uploading', 'after pending']);
  assert.deepEqual(
    asked.map(({ nonce, files }) => [nonce, files]),
    [['n1', ['plan.png']]],
  );
  uploads.become({ attachments: [FILE], files: [] });
  await settle();
  assert.deepEqual(socket.take('publish').attachments, ['f1']);
  assert.deepEqual([shelf.entries.get('n1').attachments, shelf.entries.get('n1').files], [[FILE], null]);
});

test('a store that takes no files still keeps texts', async () => {
  const shelf = new FakeShelf();
  const { core } = await opened(0, { shelf });
  let told = 0;
  core.on('volatile', () => (told += 1));
  shelf.broken = true;
  core.send('general', { text: 'look', uploads: new FakeUploads() });
  await settle();
  shelf.broken = false;
  core.send('general', { text: 'after' });
  await settle();
  assert.deepEqual([told, [...shelf.entries.values()].map(({ text }) => text)], [0, ['after']]);
});
