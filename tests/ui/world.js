import { ChatCore } from '../../chatcore-hyper/ui/chat-core.js';
import { FakeClock, FakeNet, FakeShelf, settle } from './fakes.js';

export const ANN = { id: 'u_ann', name: 'Ann' };
export const BOB = { id: 'u_bob', name: 'Bob' };

/** A client with a server played by the test. */
export function world({ random = () => 0.5, shelf = new FakeShelf(), checkIdentity, clock = new FakeClock(), tab = '' } = {}) {
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
    checkIdentity,
  });
  return { core, clock, net, shelf };
}

/** Greets the client on its newest socket and answers what it asks by itself. */
export async function welcome({ net }, { channels = [info('general')], answers = {} } = {}) {
  const socket = net.last;
  socket.say({ type: 'welcome', version: 1, user: ANN, limits: { frame_bytes: 65536, text_chars: 8000, attachment_bytes: 1000 } });
  await settle();
  await answer(socket, { channels, answers });
  return socket;
}

/** Answers `channels` and every `subscribe` until the client asks no more. */
export async function answer(socket, { channels = [info('general')], answers = {} } = {}) {
  for (let asked = true; asked; await settle()) {
    asked = false;
    for (const command of [...socket.inbox]) {
      if (command.type !== 'channels' && command.type !== 'subscribe') continue;
      socket.take(command.type);
      asked = true;
      if (command.type === 'channels') socket.ok(command, { channels });
      else socket.ok(command, answers[command.channel] ?? snapshot(command.channel, []));
    }
  }
}

/** A client that is connected and has `general` open with so many messages of Bob's. */
export async function opened(count = 0, options = {}) {
  const here = world(options);
  here.core.start();
  here.core.open('general');
  const messages = Array.from({ length: count }, (_, at) => message(at + 1));
  const socket = await welcome(here, { channels: [info('general', count, count)], answers: { general: snapshot('general', messages) } });
  return { ...here, socket };
}

export function info(name, head = 0, read = head, unread = head - read) {
  return { name, topic: '', created_at: '2026-01-01T00:00:00.000Z', created_by: BOB, head, read, unread };
}

export function snapshot(channel, messages, { epoch = 'e1', head = messages.at(-1)?.seq ?? 0 } = {}) {
  return { channel, epoch, head, reset: true, messages, members: [ANN] };
}

export function message(seq, { author = BOB, text = `m${seq}`, nonce = `x${seq}` } = {}) {
  const at = new Date(Date.UTC(2026, 0, 1) + seq * 1000).toISOString();
  return { seq, author, at, text, nonce, reply_to: null, attachments: [], edited_at: null, deleted: false, reactions: [] };
}

export function event(seq, fields = {}) {
  return { type: 'message', channel: 'general', ...message(seq, fields) };
}

/** The texts of a channel as the client knows them. */
export function texts(core, name = 'general') {
  return core.channel(name).messages.map(({ text }) => text);
}
