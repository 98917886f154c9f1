import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeded, settle } from './fakes.js';
import { ANN, BOB, event, info, snapshot, world } from './world.js';

const CHANNELS = ['general', 'rust'];

/** A server whose answers may be overtaken by events, as they are where a store is read meanwhile. */
class Server {
  logs = new Map(CHANNELS.map((name) => [name, []]));
  read = new Map(CHANNELS.map((name) => [name, 0]));
  /** The channels that the client is subscribed to. */
  followed = new Set();
  socket = null;
  frames = [];
  /** The answer that is known and not sent yet. */
  held = null;

  /** The client has a new connection, and nothing of the one before. */
  accept(socket) {
    this.followed.clear();
    this.frames = [{ type: 'welcome', version: 1, user: ANN, limits: {} }];
    this.held = null;
    this.socket = socket;
  }

  messages(name, from = 0, before = Infinity) {
    return this.logs.get(name).filter(({ type, seq }) => type === 'message' && seq > from && seq < before);
  }

  /** What the signed-in user has to read of a channel. */
  unread(name) {
    return this.messages(name, this.read.get(name)).filter(({ author, deleted }) => author.id !== ANN.id && !deleted);
  }

  /** Deletes one of a channel's messages; the log holds it redacted from then on. */
  remove(name, at, by) {
    const messages = this.messages(name).filter(({ deleted }) => !deleted);
    const message = messages[Math.floor(at * messages.length)];
    if (!message) return;
    Object.assign(message, { text: '', deleted: true });
    this.append(name, { type: 'deleted', target: message.seq, by, at: 'T' });
  }

  /** Puts an event into a channel's log. */
  append(name, entry) {
    const log = this.logs.get(name);
    const frame = { ...entry, seq: log.length + 1, channel: name };
    log.push(frame);
    // What is on its way is as it was when it left.
    if (this.followed.has(name)) this.frames.push({ ...frame });
  }

  /** The client was too slow: what was not sent to it is left out, and the subscription ends. */
  lag(name) {
    if (!this.followed.delete(name)) return;
    this.frames = this.frames.filter((frame) => frame.channel !== name || !frame.at);
    this.frames.push({ type: 'lagged', channel: name, from: 1, to: 2 });
  }

  /** Moves the read marker; another tab's is told. */
  mark(name, seq, told) {
    this.read.set(name, Math.max(this.read.get(name), seq));
    if (told) this.frames.push({ type: 'read', channel: name, seq: this.read.get(name) });
  }

  /** Takes up the next command, or sends the answer to the one before. */
  work(refuses) {
    if (this.held) {
      this.frames.push(this.held);
      this.held = null;
      return;
    }
    const command = this.socket.take();
    if (!command) return;
    const { type, id, channel: name } = command;
    if (refuses && type !== 'read')
      this.held = { type: 'error', id, code: 'unavailable', message: '', retryable: true, retry_ms: 300 };
    else if (type === 'subscribe') this.frames.push({ type: 'ok', id, ...this.subscribe(command) });
    else this.held = { type: 'ok', id, ...this.answer(type, name, command) };
  }

  subscribe({ channel: name, after, limit }) {
    const log = this.logs.get(name);
    this.followed.add(name);
    const missed = after ? log.slice(after.seq) : null;
    if (missed?.length < 5)
      return { channel: name, epoch: 'e1', head: log.length, reset: false, events: missed, members: [] };
    return snapshot(name, limit > 0 ? this.messages(name).slice(-limit) : [], { head: log.length });
  }

  answer(type, name, { before, limit, seq }) {
    if (type === 'channels') return { channels: CHANNELS.map((each) => this.info(each)) };
    if (type === 'history') return { messages: this.messages(name, 0, before).slice(-limit), more: false };
    if (type === 'read') this.mark(name, seq, false);
    return {};
  }

  info(name) {
    const read = this.read.get(name);
    return info(name, this.logs.get(name).length, read, this.unread(name).length);
  }

  /** Sends the oldest frame that waits. */
  send() {
    const frame = this.frames.shift();
    if (frame) this.socket.say(frame);
  }

  get isIdle() {
    return this.frames.length === 0 && !this.held && this.socket.inbox.length === 0;
  }
}

/** Whatever happens at random, the client ends with the counts and the mentions that the server's logs and markers give. */
async function settles(seed) {
  const random = seeded(seed);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const { core, clock, net } = world({ random });
  const server = new Server();
  core.start();
  core.open('general');
  server.accept(net.last);
  const acts = {
    publish: () => server.append(pick(CHANNELS), event(0, { text: random() < 0.3 ? '@ann' : 'hi' })),
    own: () => server.append(pick(CHANNELS), event(0, { author: ANN, text: 'mine' })),
    remove: () => server.remove(pick(CHANNELS), random() < 0.7 ? 1 - random() * 0.1 : random(), BOB),
    react: () =>
      server.append(pick(CHANNELS), { type: 'reaction', target: 1, emoji: '👍', on: true, by: BOB, at: 'T' }),
    lag: () => server.lag(pick(CHANNELS)),
    elsewhere: (name = pick(CHANNELS)) =>
      server.mark(name, Math.floor(random() * (server.logs.get(name).length + 1)), true),
    here: () => core.markRead('general'),
    wait: () => clock.advance(random() * 700),
    open: () => core.open(pick(CHANNELS)),
    cut: () => server.socket.end(),
  };
  const often = [
    'publish',
    'publish',
    'publish',
    'publish',
    'publish',
    'own',
    'remove',
    'react',
    'lag',
    'elsewhere',
    'here',
    'wait',
  ];
  for (let step = 0; step < 90; step++) {
    await acts[random() < 0.02 ? pick(['open', 'cut']) : pick(often)]();
    for (let turn = random() * 4; turn > 0; turn--) {
      if (random() < 0.5) server.work(random() < 0.05);
      else server.send();
      await settle();
    }
    if (net.last !== server.socket) server.accept(net.last);
  }
  for (let turn = 0, quiet = 0; quiet < 3; turn++) {
    assert.ok(turn < 2000, 'it comes to rest');
    server.work(false);
    server.send();
    await settle();
    if (net.last !== server.socket) server.accept(net.last);
    quiet = server.isIdle ? quiet + 1 : 0;
    if (server.isIdle) await clock.advance(5000);
  }
  for (const name of CHANNELS) {
    const { read, unread, mentions } = core.channel(name);
    const expected = server.unread(name);
    const named = expected.filter(({ text }) => text === '@ann').map(({ seq }) => seq);
    assert.deepEqual(
      { name, read, unread, mentions },
      { name, read: server.read.get(name), unread: expected.length, mentions: named },
    );
  }
}

test('whatever is overtaken, refused, cut or read meanwhile, in the end all that is unread is counted, and once', async () => {
  for (let round = 0; round < 100; round++) {
    const seed = Number(process.env.CHATCORE_SEED ?? Math.floor(Math.random() * 2 ** 32));
    try {
      await settles(seed);
    } catch (error) {
      error.message = `CHATCORE_SEED=${seed}: ${error.message}`;
      throw error;
    }
  }
});

test('a deletion that a page had before it came is taken off an older count', () => settles(360472827));
