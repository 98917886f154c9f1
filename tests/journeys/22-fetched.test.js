import assert from 'node:assert/strict';
import { journey } from './journey.js';

/** As in `tests/tests/web/client_files.rs`, which holds the sum of these and the names of emoji to a size. */
const FILES = [
  '/',
  '/app.css',
  '/app.js',
  '/chat/ui/chat.css',
  '/chat/ui/chat.js',
  '/icon-mentions.svg',
  '/icon.svg',
  '/requests.js',
  '/sign-in.js',
];

journey('a page fetches the files that are counted, and no other', async ({ browser }) => {
  const ann = await browser.person();
  const fetched = new Set();
  const isFile = (request) =>
    ['document', 'script', 'stylesheet', 'image', 'font', 'manifest'].includes(request.resourceType());
  ann.page.on('request', (request) => isFile(request) && fetched.add(new URL(request.url()).pathname));
  await ann.join('Ann');
  await ann.isIn('general');
  for (const path of FILES.slice(0, 5)) assert.ok(fetched.has(path), path);
  assert.deepEqual(
    [...fetched].filter((path) => !FILES.includes(path)),
    [],
  );
});
