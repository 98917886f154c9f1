import { ChatCore } from '../../chatcore-hyper/ui/core/chat-core.js';
import { FakeClock, FakeNet, FakeShelf, settle } from './fakes.js';

export const ANN = { id: 'u_ann', name: 'Ann' };
export const BOB = { id: 'u_bob', name: 'Bob' };

/** A client with a server played by the test. */
export function world({
  random = () => 0.5,
  shelf = new FakeShelf(),
  checkIdentity,
  clock = new FakeClock(),
  tab = '',
  storage = null,
  maxFollowed,
  ready = () => {},
} = {}) {
  const net = new FakeNet();
  let nonce = 0;
  const core = new ChatCore({
    url: 'ws://chat.test/chat/ws',
    user: ANN,
    WebSocket: net.WebSocket,
    clock,
    random,
    openOutbox: () => shelf.open(),
    newNonce: () => `${tab}n${++nonce}`,
    storage,
    checkIdentity,
    maxFollowed,
  });
  ready(core);
  return { core, clock, net, shelf };
}

/** Greets the client on its newest socket. */
export async function greet({ net }) {
  const socket = net.last;
  socket.say({
    type: 'welcome',
    version: 1,
    user: ANN,
    limits: { frame_bytes: 65536, text_chars: 8000, attachment_bytes: 1000 },
  });
  await settle();
  return socket;
}

/** Greets the client and answers what it asks by itself. */
export async function welcome(here, replies = {}) {
  const socket = await greet(here);
  await answer(socket, replies);
  return socket;
}

/** Answers `channels`, every `subscribe`, and `history` where its messages are given, until the client asks no more. */
export async function answer(socket, { channels = [info('general')], answers = {}, history = {} } = {}) {
  for (let asked = true; asked; await settle()) {
    asked = false;
    for (const command of [...socket.inbox]) {
      const known =
        ['channels', 'subscribe'].includes(command.type) || (command.type === 'history' && history[command.channel]);
      if (!known) continue;
      socket.take(command.type);
      asked = true;
      if (command.type === 'channels') socket.ok(command, { channels });
      else if (command.type === 'history') socket.ok(command, page(history[command.channel], command));
      else socket.ok(command, answers[command.channel] ?? snapshot(command.channel, []));
    }
  }
}

function page(messages, { before, limit }) {
  const older = messages.filter(({ seq }) => seq < before);
  return { messages: older.slice(-limit), more: older.length > limit };
}

/** A client that is connected and has `general` open with so many messages of Bob's. */
export async function opened(count = 0, options = {}) {
  const here = world(options);
  here.core.start();
  here.core.open('general');
  const messages = Array.from({ length: count }, (_, at) => message(at + 1));
  const socket = await welcome(here, {
    channels: [info('general', count, count)],
    answers: { general: snapshot('general', messages) },
  });
  return { ...here, socket };
}

export function info(name, head = 0, read = head, unread = head - read) {
  return { name, topic: '', created_at: '2026-01-01T00:00:00.000Z', created_by: BOB, head, read, unread };
}

export function snapshot(channel, messages, { epoch = 'e1', head = messages.at(-1)?.seq ?? 0 } = {}) {
  return { channel, epoch, head, reset: true, messages, members: [ANN] };
}

/** A message in its lean form, as ann gets it: nothing is at its default, and only her own messages have a nonce. */
export function message(seq, { author = BOB, text = `m${seq}`, nonce = `x${seq}` } = {}) {
  const at = new Date(Date.UTC(2026, 0, 1) + seq * 1000).toISOString();
  return { seq, author, at, text, ...(author.id === ANN.id && { nonce }) };
}

export function event(seq, fields = {}) {
  return { type: 'message', channel: 'general', ...message(seq, fields) };
}

/** The texts of a channel as the client knows them. */
export function texts(core, name = 'general') {
  return core.channel(name).messages.map(({ text }) => text);
}
