import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askIdentity } from '../../chatcore-hyper/ui/core/identity.js';
import { settle } from './fakes.js';
import { welcome, world } from './world.js';

/** What a page learns from a server that answers so; null is one that does not answer. */
async function told(answer) {
  const real = globalThis.fetch;
  const asked = [];
  globalThis.fetch = async (...request) => {
    asked.push(request);
    if (!answer) throw new TypeError('Failed to fetch');
    return new Response(answer[1], { status: answer[0] });
  };
  try {
    const found = await askIdentity('https://chat.test/chat');
    assert.deepEqual(
      [asked[0][0], asked[0][1].method, asked[0][1].credentials],
      ['https://chat.test/chat/identity', 'POST', 'include'],
    );
    return found;
  } finally {
    globalThis.fetch = real;
  }
}

test('a refused page learns from the server whether it is its user or its address', async () => {
  assert.equal(await told([200, '{"user":{"id":"u_ann","name":"Ann"}}']), true);
  assert.equal(await told([200, '{"user":null}']), false);
  assert.equal(await told([401, 'sign in at the proxy']), false);
  assert.equal(await told([403, '{"code":"not_allowed","message":"another origin"}']), 'another origin');
  assert.equal(await told([421, '{"code":"misdirected","message":"another host"}']), 'another host');
});

test('a server in trouble has not forgotten anybody', async () => {
  assert.equal(await told([503, '{"code":"unavailable","message":"no database"}']), true);
  assert.equal(await told([502, '<h1>Bad Gateway</h1>']), true);
  assert.equal(await told(null), true);
});

test('a refused page is told why, and goes on trying', async () => {
  const here = world({ checkIdentity: async () => 'another origin' });
  here.core.start();
  here.net.last.end(1006);
  await settle();
  assert.deepEqual([here.core.connection.phase, here.core.connection.refusal], ['waiting', 'another origin']);
  here.core.connection.retryNow();
  await welcome(here);
  assert.equal(here.core.connection.refusal, '');
});
