/** A clock that stands still until a test moves it. */
export class FakeClock {
  #now = 1_000_000;
  #timers = new Map();
  #next = 1;

  now() {
    return this.#now;
  }

  setTimeout(run, ms) {
    const timer = this.#next++;
    this.#timers.set(timer, { run, at: this.#now + ms });
    return timer;
  }

  clearTimeout(timer) {
    this.#timers.delete(timer);
  }

  /** Runs everything that falls due, in its order, and what the promises of it lead to. */
  async advance(ms) {
    await settle();
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers]
        .filter(([, { at }]) => at <= end)
        .sort(([, one], [, other]) => one.at - other.at)[0];
      if (!due) break;
      const [timer, { run, at }] = due;
      this.#timers.delete(timer);
      this.#now = at;
      run();
      await settle();
    }
    this.#now = end;
    await settle();
  }
}

/** Lets all promises that are ready run. */
export function settle() {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What the browser keeps of one user's outbox; each tab opens it for itself. */
export class FakeShelf {
  /** @type {Map<string, any>} */
  entries = new Map();
  #tabs = new Set();
  /** Whether nothing can be kept, as in some private windows. */
  broken = false;

  open() {
    const shelf = this;
    const act = async (run) => {
      if (shelf.broken) throw new Error('nothing is kept');
      return run();
    };
    const tab = {
      onRemoved: () => {},
      load: () => act(() => structuredClone([...shelf.entries.values()].sort((one, other) => one.at - other.at))),
      put: (entry) => act(() => void shelf.entries.set(entry.nonce, structuredClone(entry))),
      remove(nonce) {
        for (const other of shelf.#tabs) if (other !== tab) other.onRemoved(nonce);
        return act(() => void shelf.entries.delete(nonce));
      },
      clear: () => act(() => shelf.entries.clear()),
      close: () => shelf.#tabs.delete(tab),
    };
    this.#tabs.add(tab);
    return tab;
  }
}

/** What `localStorage` is to the pages of a browser. */
export class FakeStorage {
  #items = new Map();

  getItem(key) {
    return this.#items.get(key) ?? null;
  }

  setItem(key, value) {
    this.#items.set(key, value);
  }

  removeItem(key) {
    this.#items.delete(key);
  }

  get length() {
    return this.#items.size;
  }
}

/** The server's end of every socket that the client opens; a test plays the server. */
export class FakeNet {
  /** @type {FakeSocket[]} */
  sockets = [];

  constructor() {
    const net = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url, protocols) {
        super(url, protocols);
        net.sockets.push(this);
      }
    };
  }

  get last() {
    return this.sockets.at(-1);
  }
}

class FakeSocket {
  onmessage = null;
  onclose = null;
  onerror = null;
  closed = false;
  /** Commands not yet taken by the test. */
  inbox = [];
  /** All commands ever sent here. */
  sent = [];

  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
  }

  send(data) {
    const frame = JSON.parse(data);
    this.sent.push(frame);
    this.inbox.push(frame);
  }

  close() {
    this.closed = true;
  }

  /** Sends a frame to the client. */
  say(frame) {
    this.onmessage?.({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
  }

  /** The server, or the network, ends it. */
  end(code = 1006) {
    this.onclose?.({ code });
  }

  /** Takes the oldest command of a type that waits, or of any. */
  take(type) {
    const at = this.inbox.findIndex((frame) => !type || frame.type === type);
    return at < 0 ? null : this.inbox.splice(at, 1)[0];
  }

  ok(command, fields = {}) {
    this.say({ type: 'ok', id: command.id, ...fields });
  }

  error(command, fields) {
    this.say({ type: 'error', id: command.id, message: fields.code, retryable: false, ...fields });
  }
}

/** Random numbers that a seed makes again (mulberry32). @param {number} seed */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
