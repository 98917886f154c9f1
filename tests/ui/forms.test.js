import assert from 'node:assert/strict';
import test from 'node:test';
import { readMessage } from '../../chatcore-hyper/ui/core/protocol.js';
import { BOB, message } from './world.js';

test('a field at its default and a missing field are the same', () => {
  const full = {
    ...message(7, { author: BOB }),
    nonce: null,
    reply_to: null,
    attachments: [],
    edited_at: null,
    deleted: false,
    reactions: [],
    mentions: [],
  };
  assert.deepEqual(readMessage(message(7, { author: BOB })), readMessage(full));
  assert.deepEqual(readMessage(full), full);
});
