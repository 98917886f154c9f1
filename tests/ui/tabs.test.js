import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tabs } from '../../chatcore-hyper/ui/core/tabs.js';
import { FakeClock, settle } from './fakes.js';

/** A browser with tabs of one person, in which somebody looks at some. */
function browser() {
  const clock = new FakeClock();
  const ends = new Set();
  const told = [];
  class Channel {
    onmessage = null;
    asleep = false;

    constructor() {
      ends.add(this);
    }

    postMessage(data) {
      for (const end of ends)
        if (end !== this && !end.asleep) queueMicrotask(() => end.onmessage?.({ data: structuredClone(data) }));
    }

    close() {
      ends.delete(this);
    }
  }
  const open = async (name, { looks = false, acts = true } = {}) => {
    const state = { looks, acts };
    let end;
    const tabs = new Tabs({
      userId: 'u_ann',
      looks: () => state.looks,
      acts: () => state.acts,
      clock,
      BroadcastChannel: class extends Channel {
        constructor() {
          super();
          end = this;
        }
      },
    });
    await settle();
    return { state, tabs, end, tell: () => tabs.once(() => told.push(name)) };
  };
  return { clock, open, told };
}

test('a tab that is alone tells at once, if nobody looks at it', async () => {
  const { open, told } = browser();
  const one = await open('one');
  one.tell();
  assert.deepEqual(told, ['one']);
  one.state.looks = true;
  one.tell();
  assert.deepEqual(told, ['one']);
});

test('of several tabs that nobody looks at, one tells', async () => {
  const { open, told } = browser();
  const tabs = [await open('one'), await open('two'), await open('three')];
  for (const { tell } of tabs) tell();
  await settle();
  assert.equal(told.length, 1);
  for (const { tell } of tabs.reverse()) {
    tell();
    await settle();
  }
  assert.deepEqual(told, [told[0], told[0]]);
});

test('no tab tells while somebody looks at another one', async () => {
  const { open, told } = browser();
  const one = await open('one');
  const two = await open('two', { looks: true });
  assert.equal(one.tabs.isElsewhere, true);
  assert.equal(two.tabs.isElsewhere, false);
  one.tell();
  two.tell();
  await settle();
  assert.deepEqual(told, []);
  two.state.looks = false;
  two.tabs.say();
  await settle();
  assert.equal(one.tabs.isElsewhere, false);
});

test('a tab that is asleep, closed or offline keeps no other from telling', async () => {
  for (const end of ['asleep', 'closed', 'offline']) {
    const { clock, open, told } = browser();
    const one = await open('one', { looks: true });
    const two = await open('two');
    if (end === 'asleep') one.end.asleep = true;
    else if (end === 'closed') one.tabs.close();
    else Object.assign(one.state, { looks: false, acts: false });
    await settle();
    two.tell();
    await clock.advance(1000);
    assert.deepEqual(told, ['two'], end);
  }
});
