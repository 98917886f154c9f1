import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Drafts } from '../../chatcore-hyper/ui/drafts.js';
import { FakeStorage } from './fakes.js';

test('a draft is not shown again once it is sent, but is kept until its message is', () => {
  const kept = new FakeStorage();
  const drafts = new Drafts(kept, 'u');
  drafts.set('general', 'hello');
  drafts.sent('general');
  assert.equal(drafts.get('general'), '');
  assert.equal(new Drafts(kept, 'u').get('general'), 'hello');
  drafts.kept('general');
  assert.equal(new Drafts(kept, 'u').get('general'), '');
});

test('what is written after the sending stays when the ack comes', () => {
  const drafts = new Drafts(new FakeStorage(), 'u');
  drafts.set('general', 'hello');
  drafts.sent('general');
  drafts.set('general', 'and');
  drafts.kept('general');
  assert.equal(drafts.get('general'), 'and');
});
