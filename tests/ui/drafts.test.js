import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Drafts } from '../../chatcore-hyper/ui/core/drafts.js';
import { FakeStorage } from './fakes.js';
import { message } from './world.js';

const FILE = { id: 'f1', name: 'plan.png', size: 3, content_type: 'image/png', width: null, height: null, url: '/f1' };

/** Two tabs of one browser: what one keeps or removes, the other hears. */
function tabs() {
  const all = new FakeStorage();
  const open = () => new Drafts(all, 'u', new FakeStorage());
  const [one, other] = [open(), open()];
  const tell = (from, to, act) => {
    const key = 'chatcore.draft.u.general';
    const oldValue = all.getItem(key);
    act(from);
    const newValue = all.getItem(key);
    if (newValue !== oldValue) to.heard({ key, oldValue, newValue });
  };
  return { one, other, open, inOne: (act) => tell(one, other, act), inOther: (act) => tell(other, one, act) };
}

const text = (drafts) => drafts.get('general').text;

test('a draft is not shown again once it is sent, but is kept until its message is', () => {
  const kept = new FakeStorage();
  const drafts = new Drafts(kept, 'u');
  drafts.set('general', { text: 'hello' });
  drafts.sent('general');
  assert.equal(text(drafts), '');
  assert.equal(text(new Drafts(kept, 'u')), 'hello');
  drafts.kept('general');
  assert.equal(text(new Drafts(kept, 'u')), '');
});

test('what is written after the sending stays when the ack comes', () => {
  const drafts = new Drafts(new FakeStorage(), 'u');
  drafts.set('general', { text: 'hello' });
  drafts.sent('general');
  drafts.set('general', { text: 'and' });
  drafts.kept('general');
  assert.equal(text(drafts), 'and');
});

test('a sent draft stays away when its files are let go', () => {
  const drafts = new Drafts(new FakeStorage(), 'u', new FakeStorage());
  drafts.set('general', { text: 'hello', files: [FILE] });
  drafts.sent('general');
  drafts.set('general', { files: [], lost: [] });
  assert.equal(text(drafts), '');
  drafts.set('general', { text: 'x' });
  drafts.set('general', { text: '' });
  assert.equal(text(drafts), '');
  drafts.kept('general');
  assert.equal(text(drafts), '');
});

test('a reply, an edit and files outlive a reload', () => {
  const [all, tab] = [new FakeStorage(), new FakeStorage()];
  const drafts = new Drafts(all, 'u', tab);
  drafts.set('general', { text: 'yes', reply: message(7, { text: '**Which** one?\nAnd why?' }) });
  drafts.set('general', { edit: { message: message(3), text: 'better' }, files: [FILE], lost: ['film.mp4'] });
  for (const later of [new Drafts(all, 'u', tab), new Drafts(all, 'u', new FakeStorage())]) {
    const { text: words, reply, edit, files, lost } = later.get('general');
    assert.deepEqual(
      [words, reply.seq, reply.text, edit.message.seq, edit.text],
      ['yes', 7, 'Which one?', 3, 'better'],
    );
    assert.deepEqual([files, lost], [[FILE], ['film.mp4']]);
    assert.equal(text(later), 'yes');
  }
});

test('a draft of an earlier version is read', () => {
  const all = new FakeStorage();
  for (const old of ['hello', '{"draft":', '{"a":1}']) {
    all.setItem('chatcore.draft.u.general', old);
    assert.equal(text(new Drafts(all, 'u')), old);
  }
});

test('a send in one tab leaves the draft of another alone', () => {
  for (const oneLast of [true, false]) {
    const { one, other, open, inOne, inOther } = tabs();
    const write = () => inOne(() => one.set('general', { text: 'one' }));
    if (!oneLast) write();
    inOther(() => other.set('general', { text: 'other' }));
    if (oneLast) write();
    inOne(() => one.sent('general'));
    inOne(() => one.kept('general'));
    assert.equal(text(other), 'other');
    // It is there too for a tab that is opened now, as after a restart of the browser.
    assert.equal(text(open()), 'other');
  }
});

test('a draft that another tab sent is not offered again', () => {
  const { one, other, inOne } = tabs();
  const gone = [];
  other.onGone = (channel) => gone.push(channel);
  inOne(() => one.set('general', { text: 'hello' }));
  assert.equal(text(other), 'hello');
  inOne(() => one.sent('general'));
  inOne(() => one.kept('general'));
  assert.deepEqual([text(other), gone], ['', ['general']]);
});

test('drafts hold while the page stays if nothing can be kept', () => {
  const drafts = new Drafts(null, 'u', null);
  drafts.set('general', { text: 'hello', files: [FILE] });
  assert.deepEqual([text(drafts), drafts.get('general').files], ['hello', [FILE]]);
  drafts.sent('general');
  drafts.kept('general');
  assert.equal(text(drafts), '');
});
