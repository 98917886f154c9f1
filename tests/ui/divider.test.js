import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Divider } from '../../chatcore-hyper/ui/timeline/divider.js';
import { ANN, event, info, message, opened, snapshot, welcome, world } from './world.js';

/** A divider in a channel with three messages of Bob's, all read and drawn. */
async function drawn() {
  const here = await opened(3);
  const channel = here.core.channel('general');
  return { ...here, channel, divider: new Divider(() => ANN.id) };
}

test('it stands above the first of somebody else that comes while the reader looks elsewhere', async () => {
  const { channel, divider, socket } = await drawn();
  socket.say(event(4, { author: ANN }));
  divider.set(channel, 3, false);
  assert.equal(divider.seq(channel.shown), null);
  socket.say(event(5));
  divider.set(channel, 4, false);
  assert.equal(divider.seq(channel.shown), 5);
});

test('nothing is new to who watches the end', async () => {
  const { channel, divider, socket } = await drawn();
  socket.say(event(4));
  divider.set(channel, 3, true);
  assert.equal(divider.seq(channel.shown), null);
});

test('it stays while more comes, and moves once all was read', async () => {
  const { core, channel, divider, socket } = await drawn();
  for (let seq = 4; seq <= 5; seq++) {
    socket.say(event(seq));
    divider.set(channel, seq - 1, false);
    assert.equal(divider.seq(channel.shown), 4);
  }
  core.markRead('general');
  assert.equal(divider.seq(channel.shown), 4);
  socket.say(event(6));
  divider.set(channel, 5, false);
  assert.equal(divider.seq(channel.shown), 6);
  divider.clear();
  assert.equal(divider.seq(channel.shown), null);
});

test('in a channel that is drawn for the first time it stands above what is unread, where that is known', async () => {
  for (const [read, oldest, expected] of [
    [2, 1, 3],
    [3, 4, 4],
    [2, 4, null],
    [6, 1, null],
  ]) {
    const here = world();
    here.core.start();
    here.core.open('general');
    const messages = [1, 2, 3, 4, 5, 6].filter((seq) => seq >= oldest).map((seq) => message(seq));
    await welcome(here, { channels: [info('general', 6, read)], answers: { general: snapshot('general', messages) } });
    const channel = here.core.channel('general');
    const divider = new Divider(() => ANN.id);
    divider.set(channel, -1, true);
    assert.equal(divider.seq(channel.shown), expected, `${read} ${oldest}`);
  }
});
