import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from './fakes.js';
import { ANN, world } from './world.js';

test('the limits are those of the welcome, and usual ones until it comes or where it names none', async () => {
  const { core, net } = world();
  core.start();
  await settle();
  const usual = core.limits;
  assert.deepEqual([usual.attachments, usual.topic_chars, usual.query_chars], [10, 250, 128]);
  const named = { attachments: 3, topic_chars: 80, query_chars: 64, text_chars: -1, later: 7 };
  net.last.say({ type: 'welcome', version: 1, user: ANN, limits: named });
  assert.deepEqual(core.limits, { ...usual, attachments: 3, topic_chars: 80, query_chars: 64 });
});
