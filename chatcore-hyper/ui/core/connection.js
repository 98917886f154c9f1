import { Emitter } from './emitter.js';
import { afterClose, ChatError, readFrame, wellFormed } from './protocol.js';

/** Times in milliseconds. */
export const TIMES = {
  /** From the first byte to `welcome`. */
  welcome: 10_000,
  /** Nothing heard for so long: ask. A browser cannot see WebSocket pings. */
  quiet: 30_000,
  /** No answer to a command for so long: ask as well. */
  overdue: 5_000,
  /** No answer to that for so long: the connection is dead, whatever the socket says. */
  answer: 10_000,
  backoffBase: 500,
  backoffCap: 10_000,
  /** A connection that lived so long had nothing wrong with it: the next back-off starts over. */
  stable: 10_000,
  /** The longest wait a draining server can ask for. */
  drainCap: 60_000,
};

/** @typedef {{now(): number, setTimeout(run: () => void, ms: number): any, clearTimeout(timer: any): void}} Clock */

/** @type {Clock} */
export const systemClock = {
  now: () => Date.now(),
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

/**
 * A random time from nothing to the bound, so that a thousand clients of a restarted server do not come back at once
 * ("full jitter" of the AWS architecture blog's "Exponential Backoff and Jitter").
 * @param {number} attempt counted from 0
 * @param {() => number} random
 */
export function backoff(attempt, random) {
  return Math.round(random() * Math.min(TIMES.backoffCap, TIMES.backoffBase * 2 ** Math.min(attempt, 16)));
}

/**
 * One client's way to the server: a socket after another until it is stopped or told for good to stay away.
 *
 * Events: `welcome` (frame), `frame` (any other event frame), `down` (close code), `state`.
 */
export class Connection extends Emitter {
  /** @type {'idle' | 'connecting' | 'open' | 'waiting' | 'closed'} */
  phase = 'idle';
  /** When the next attempt starts, by the clock; only in phase `waiting`. @type {?number} */
  retryAt = null;
  /** Since when there is no connection, by the clock. @type {?number} */
  downSince = null;
  /** The final close code; only in phase `closed`. @type {?number} */
  closeCode = null;
  /** Why the server refuses this page, if it does; the attempts go on. */
  refusal = '';
  frameBytes = Infinity;

  /** @type {any} */
  #socket = null;
  #timer = null;
  #attempt = 0;
  #drainMs = 0;
  #openedAt = 0;
  #heardAt = 0;
  /** Whether a ping waits for its answer; asking again would only put off the end of a dead connection. */
  #asking = false;
  #nextId = 1;
  /** @type {Map<number, {resolve: (answer: any) => void, reject: (error: ChatError) => void, timer: any}>} */
  #waiting = new Map();

  /**
   * @param {{url: string, WebSocket: any, clock: Clock, random: () => number, checkIdentity?: () => Promise<boolean | string>}} options
   *   `checkIdentity` is asked after a refused attempt, because a browser does not tell a 401 from a dead server: it says
   *   whether the server knows the user, or why it refuses the page.
   */
  constructor({ url, WebSocket, clock, random, checkIdentity }) {
    super();
    this.url = url;
    this.WebSocket = WebSocket;
    this.clock = clock;
    this.random = random;
    this.checkIdentity = checkIdentity;
  }

  start() {
    if (this.phase !== 'idle') return;
    this.downSince = this.clock.now();
    this.#connect();
  }

  /** Leaves for good. */
  stop() {
    this.#drop(1000);
    this.#setPhase('idle');
  }

  /** Connects at once if it was waiting to, or was told to stay away: since then somebody may have signed in. */
  retryNow() {
    if (this.phase === 'waiting' || this.phase === 'closed') this.#connect();
  }

  /** Finds out at once whether the connection still lives: the network changed, or the machine was asleep. */
  check() {
    if (this.phase === 'waiting') this.#connect();
    else if (this.phase === 'open') this.#askIfAlive();
  }

  /**
   * Sends a command and waits for its answer.
   * @param {string} type
   * @param {Record<string, any>} [fields]
   * @returns {Promise<any>} the fields of `ok`
   * @throws {ChatError} the server's, `disconnected`, or `too_large` for a frame over the server's limit
   */
  request(type, fields = {}) {
    if (this.phase !== 'open') return Promise.reject(new ChatError({ code: 'disconnected', retryable: true }));
    const id = this.#nextId++;
    const frame = JSON.stringify({ type, id, ...fields }, (_, value) =>
      typeof value === 'string' ? wellFormed(value) : value,
    );
    if (frame.length * 3 > this.frameBytes && new TextEncoder().encode(frame).length > this.frameBytes) {
      return Promise.reject(new ChatError({ code: 'too_large', message: 'The message is too large.' }));
    }
    return new Promise((resolve, reject) => {
      const timer = type === 'ping' ? null : this.clock.setTimeout(() => this.#askIfAlive(), TIMES.overdue);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#socket.send(frame);
    });
  }

  #connect() {
    this.#clearTimer();
    this.retryAt = null;
    // The second is for a server that does not know the first.
    const socket = new this.WebSocket(this.url, ['chatcore.v1.lean', 'chatcore.v1']);
    this.#socket = socket;
    socket.onmessage = (event) => this.#heard(event.data);
    socket.onclose = (event) => this.#lost(event.code);
    // An error is always followed by a close, which carries all there is to know.
    socket.onerror = () => {};
    this.#timer = this.clock.setTimeout(() => this.#lost(1006), TIMES.welcome);
    this.#setPhase('connecting');
  }

  #heard(data) {
    this.#heardAt = this.clock.now();
    const frame = readFrame(data);
    if (!frame) return;
    if (this.phase === 'connecting') {
      if (frame.type === 'welcome') this.#welcome(frame);
      return;
    }
    if (frame.type === 'ok' || frame.type === 'error') return this.#answer(frame);
    if (frame.type === 'draining') {
      this.#drainMs = Math.min(Math.max(Number(frame.retry_ms) || 0, 0), TIMES.drainCap);
    }
    this.emit('frame', frame);
  }

  #welcome(frame) {
    this.#openedAt = this.clock.now();
    this.downSince = null;
    this.refusal = '';
    this.#drainMs = 0;
    this.#clearTimer();
    this.#watch();
    this.phase = 'open';
    this.emit('welcome', frame);
    this.emit('state');
  }

  #answer(frame) {
    // Answers keep the order of the commands: one to a frame that could not be read is that of the oldest.
    const id = frame.type === 'error' && frame.id === null ? this.#waiting.keys().next().value : frame.id;
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    this.clock.clearTimeout(waiting.timer);
    if (frame.type === 'ok') waiting.resolve(frame);
    else waiting.reject(new ChatError({ ...frame, code: typeof frame.code === 'string' ? frame.code : 'unknown' }));
  }

  #watch() {
    const due = this.#heardAt + TIMES.quiet - this.clock.now();
    this.#timer = this.clock.setTimeout(
      () => {
        if (this.clock.now() - this.#heardAt < TIMES.quiet) this.#watch();
        else this.#askIfAlive();
      },
      Math.max(due, 0),
    );
  }

  #askIfAlive() {
    if (this.#asking) return;
    this.#asking = true;
    this.#clearTimer();
    let answered = false;
    const alive = () => {
      answered = true;
    };
    this.request('ping').then(alive, alive);
    this.#timer = this.clock.setTimeout(() => {
      this.#asking = false;
      if (answered) this.#watch();
      else this.#lost(1006);
    }, TIMES.answer);
  }

  #lost(code) {
    const welcomed = this.phase === 'open';
    this.#drop(code);
    this.downSince ??= this.clock.now();
    if (afterClose(code) === 'final') return this.#close(code);
    if (welcomed && this.clock.now() - this.#openedAt >= TIMES.stable) this.#attempt = 0;
    const wait = this.#drainMs + backoff(this.#attempt++, this.random);
    this.#drainMs = 0;
    this.retryAt = this.clock.now() + wait;
    this.#timer = this.clock.setTimeout(() => this.#connect(), wait);
    this.#setPhase('waiting');
    if (!welcomed) this.#checkIdentity();
  }

  async #checkIdentity() {
    const known = (await this.checkIdentity?.()) ?? true;
    this.refusal = typeof known === 'string' ? known : '';
    if (this.refusal) this.emit('state');
    if (!known && (this.phase === 'waiting' || this.phase === 'connecting')) {
      this.#drop(4100);
      this.#close(4100);
    }
  }

  #close(code) {
    this.closeCode = code;
    this.#setPhase('closed');
  }

  /** Lets go of the socket without waiting for a close handshake that a dead network would never finish. */
  #drop(code) {
    this.#clearTimer();
    this.#asking = false;
    this.retryAt = null;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onmessage = null;
      socket.onclose = null;
      socket.close();
    }
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    if (this.phase === 'open') {
      this.phase = 'waiting';
      this.emit('down', code);
    }
    for (const { reject, timer } of waiting) {
      this.clock.clearTimeout(timer);
      reject(new ChatError({ code: 'disconnected', retryable: true }));
    }
  }

  #setPhase(phase) {
    this.phase = phase;
    this.emit('state');
  }

  #clearTimer() {
    if (this.#timer !== null) this.clock.clearTimeout(this.#timer);
    this.#timer = null;
  }
}
