/** How long a message may stay without its ack before its author is told. */
export const ACK_MS = 10_000;

/** The most messages that wait at once; a client that has so many should not promise more. */
export const MAX_WAITING = 200;

/** The longest pause that a message sits out by itself; at a longer one its author is told. */
const LONGEST_PAUSE_MS = 60_000;

/** How many times in a row the server may leave a message unanswered before only its author sends it again. */
const MAX_UNANSWERED = 3;

/** The pause after a refusal that may be tried again and names no time. */
const PAUSE_MS = 1000;

/**
 * @typedef {{nonce: string, channel: string, text: string, attachments: import('./protocol.js').Attachment[],
 *   reply_to: ?number, mentions?: string[], at: number, state: 'uploading' | 'pending' | 'failed' | 'sent', seq: ?number,
 *   error: ?{code: string, message: string}, unanswered?: number, uploads?: ?Uploads, files?: ?File[]}} Entry
 *   `uploading` waits for its files: here as `uploads`, in the store as those of its `files` that are still to be uploaded; `sent` has its ack and waits for the
 *   log to come to it; `unanswered` counts the times it was on the wire without an answer.
 * @typedef {{busy: boolean, trouble: string, attachments: import('./protocol.js').Attachment[], files: File[],
 *   element: Element, onChange: () => void, retry(): void, clear(): void}} Uploads files on their way to the server
 * @typedef {{load(): Promise<Entry[]>, put(entry: Entry): Promise<void>, remove(nonce: string): Promise<void>,
 *   clear(): Promise<void>, close(): void, onRemoved: (nonce: string) => void}} OutboxStore
 */

/**
 * The messages on their way out: in order within a channel, one on the wire at a time, under the nonce they were born with.
 * What has no ack is kept in the store, and outlives a reload. Two tabs may send the same one: its nonce makes it one message.
 */
export class Outbox {
  /** In the order they were written. @type {Map<string, Entry>} */
  #entries = new Map();
  /** The nonce on the wire, by channel. @type {Map<string, string>} */
  #inFlight = new Map();
  /** Channels told to wait, with the timer that ends it. @type {Map<string, any>} */
  #paused = new Map();
  /** @type {Map<string, any>} */
  #deadlines = new Map();
  #online = false;
  /** Whether those of before are here; what is written now goes out after them. */
  #loaded = true;
  /** @type {?OutboxStore} */
  #store = null;
  /** Whether what is written now outlives a reload. */
  #lasting = true;
  #lastAt = 0;
  /** Uploads the files of a message that an earlier page left. @type {?((entry: Entry) => Uploads)} */
  uploadsOf = null;

  /**
   * @param {{clock: import('./connection.js').Clock,
   *   publish: (entry: Entry) => Promise<any>, onChange: (channel: string) => void,
   *   onKept: (entry: Entry) => void, onVolatile: () => void,
   *   isKnown: (channel: string, seq: ?number) => boolean, isLogged: (channel: string, nonce: string) => boolean}} options
   *   `onKept`: the store has it, or the server. `onVolatile`, once: the store does not work.
   *   `isKnown` tells whether the channel's log has come to `seq`, so that the message itself stands there;
   *   `isLogged`, whether one's message with this nonce is among those that are here.
   */
  constructor({ clock, publish, onChange, onKept, onVolatile, isKnown, isLogged }) {
    this.clock = clock;
    this.publish = publish;
    this.onChange = onChange;
    this.onKept = onKept;
    this.onVolatile = onVolatile;
    this.isKnown = isKnown;
    this.isLogged = isLogged;
  }

  /** Keeps what waits, and takes up what waited before. @param {OutboxStore} store */
  open(store) {
    this.#store = store;
    this.#loaded = false;
    for (const entry of this.#entries.values()) this.#keep(entry);
    store.onRemoved = (nonce) => this.#drop(nonce);
    store.load().then(
      (entries) => this.#restore(entries),
      () => this.#restore([]),
    );
  }

  /** @param {Entry[]} stored */
  #restore(stored) {
    const before = stored.filter((entry) => !this.#entries.has(entry.nonce)).map(revive);
    this.#entries = new Map([...before, ...this.#entries.values()].map((entry) => [entry.nonce, entry]));
    this.#loaded = true;
    for (const entry of before) {
      if (this.isLogged(entry.channel, entry.nonce)) this.remove(entry.nonce);
      else if (entry.files) this.#upload(entry);
      else if (entry.state === 'pending') this.#expect(entry, ACK_MS);
    }
    this.#pumpAll();
    for (const channel of this.#channels) this.onChange(channel);
  }

  /** @param {string} channel @returns {Entry[]} */
  of(channel) {
    return [...this.#entries.values()].filter((entry) => entry.channel === channel);
  }

  get #channels() {
    return new Set([...this.#entries.values()].map((entry) => entry.channel));
  }

  /** How many have no ack. */
  get waiting() {
    return [...this.#entries.values()].filter((entry) => entry.state !== 'sent').length;
  }

  /**
   * @param {{nonce: string, channel: string, text: string, attachments: any[], reply_to: ?number, mentions?: string[], uploads?: ?Uploads}} message
   *   with `uploads` it waits until they are done, and those after it in its channel wait for it
   */
  add(message) {
    /** @type {Entry} */
    const entry = {
      ...message,
      at: Math.max(this.clock.now(), this.#lastAt + 1),
      state: 'pending',
      seq: null,
      error: null,
    };
    this.#lastAt = entry.at;
    this.#entries.set(entry.nonce, entry);
    if (entry.uploads) this.#await(entry, entry.uploads);
    else this.#release(entry);
    return entry;
  }

  /** Lets a message wait for its files. @param {Entry} entry @param {Uploads} uploads */
  #await(entry, uploads) {
    uploads.onChange = () => this.#uploaded(entry.nonce);
    this.#update(entry, { state: 'uploading', error: null, uploads, files: null });
  }

  /** @param {Entry} entry */
  #upload(entry) {
    if (this.uploadsOf) this.#await(entry, this.uploadsOf(entry));
    else this.#fail(entry, 'upload', 'The page was closed before its files were uploaded.');
  }

  /** Lets a message go out that has all it needs. */
  #release(entry) {
    this.#keep(entry);
    this.#expect(entry, ACK_MS);
    this.onChange(entry.channel);
    this.#pump(entry.channel);
  }

  /** Something has become of a message's files. */
  #uploaded(nonce) {
    const entry = this.#entries.get(nonce);
    const { uploads } = entry ?? {};
    if (!entry || !uploads) return;
    if (uploads.busy) {
      if (entry.state === 'failed') this.#update(entry, { state: 'uploading', error: null });
    } else if (uploads.trouble) {
      this.#fail(entry, 'upload', uploads.trouble);
      this.#pump(entry.channel);
    } else if (entry.text === '' && uploads.attachments.length === 0) {
      // Its author took the last file back.
      this.remove(nonce);
    } else {
      /** @type {Entry} */
      const ready = { ...entry, attachments: uploads.attachments, uploads: null, state: 'pending', error: null };
      this.#entries.set(nonce, ready);
      this.#release(ready);
      uploads.clear();
    }
  }

  /** Tries a failed one again, as the same message. @param {string} nonce */
  retry(nonce) {
    const entry = this.#entries.get(nonce);
    if (entry?.state !== 'failed') return;
    if (entry.uploads) return entry.uploads.retry();
    if (entry.files) return this.#upload(entry);
    this.#update(entry, { state: 'pending', error: null, unanswered: 0 });
    this.#expect(entry, ACK_MS);
    this.#pump(entry.channel);
  }

  /** Gives one up, because its author wants it so or because the log has it. @param {string} nonce */
  remove(nonce) {
    const entry = this.#entries.get(nonce);
    if (!entry) return;
    // What has its ack is out of the store already.
    if (entry.state !== 'sent') this.#forget(nonce);
    this.onKept(entry);
    this.#drop(nonce);
  }

  #drop(nonce) {
    const entry = this.#entries.get(nonce);
    if (!entry) return;
    this.#silence(nonce);
    this.#entries.delete(nonce);
    entry.uploads?.clear();
    this.onChange(entry.channel);
  }

  /** Gives all up, also what other tabs have kept. */
  clear() {
    for (const nonce of [...this.#entries.keys()]) this.remove(nonce);
    this.#store?.clear().catch(() => {});
  }

  close() {
    this.#store?.close();
  }

  /** A channel has another name than was thought. @param {string} before @param {string} name */
  rename(before, name) {
    for (const entry of this.of(before)) this.#update(entry, { channel: name });
    this.onChange(before);
    this.#pump(name);
  }

  /** The log of the channel has moved on. @param {string} channel */
  settle(channel) {
    for (const entry of this.of(channel)) {
      if (entry.state === 'sent' && this.isKnown(channel, entry.seq)) this.remove(entry.nonce);
    }
  }

  /** The connection is there: all goes out that was not refused. */
  connected() {
    this.#online = true;
    for (const entry of this.#entries.values()) {
      if (entry.state === 'failed' && entry.error?.code === 'timeout')
        this.#update(entry, { state: 'pending', error: null });
      if (entry.state === 'pending') this.#expect(entry, ACK_MS);
    }
    this.#pumpAll();
  }

  /**
   * The connection is gone.
   * @param {boolean} dropFrames whether the server closed it because of a frame, which then must not be sent by itself again
   */
  disconnected(dropFrames) {
    this.#online = false;
    for (const nonce of dropFrames ? this.#inFlight.values() : []) {
      const entry = this.#entries.get(nonce);
      if (entry) this.#fail(entry, 'refused', 'The server did not accept it.');
    }
    this.#inFlight.clear();
    for (const timer of this.#paused.values()) this.clock.clearTimeout(timer);
    this.#paused.clear();
  }

  #pumpAll() {
    for (const channel of this.#channels) this.#pump(channel);
  }

  async #pump(channel) {
    if (!this.#online || !this.#loaded || this.#inFlight.has(channel) || this.#paused.has(channel)) return;
    const pending = this.of(channel).filter((entry) => entry.state === 'pending' || entry.state === 'uploading');
    // What had no answer before keeps nobody waiting for it.
    const next = pending.find((entry) => !entry.unanswered) ?? pending[0];
    if (next?.state !== 'pending') return;
    this.#inFlight.set(channel, next.nonce);
    this.#expect(next, ACK_MS);
    try {
      this.#acked(next.nonce, await this.publish(next));
    } catch (error) {
      this.#refused(next, error);
    }
    if (this.#inFlight.get(channel) === next.nonce) this.#inFlight.delete(channel);
    this.#pump(channel);
  }

  #acked(nonce, answer) {
    const entry = this.#entries.get(nonce);
    if (!entry) return;
    this.#forget(nonce);
    this.onKept(entry);
    if (this.isKnown(entry.channel, answer.seq)) return this.#drop(nonce);
    this.#update(entry, { state: 'sent', seq: answer.seq, error: null });
  }

  #refused(entry, error) {
    if (!this.#entries.has(entry.nonce) || error.code === 'disconnected') return;
    if (!error.retryable) return this.#fail(entry, error.code, error.message);
    const pause = error.retryMs ?? PAUSE_MS;
    if (pause > LONGEST_PAUSE_MS) return this.#fail(entry, error.code, error.message);
    this.clock.clearTimeout(this.#paused.get(entry.channel));
    this.#paused.set(
      entry.channel,
      this.clock.setTimeout(() => {
        this.#paused.delete(entry.channel);
        this.#pump(entry.channel);
      }, pause),
    );
    // The server did answer, so the silence that the deadline is about starts after the pause.
    for (const waiting of this.of(entry.channel)) {
      if (waiting.state === 'pending') this.#expect(waiting, pause + ACK_MS);
    }
  }

  #expect(entry, ms) {
    this.clock.clearTimeout(this.#deadlines.get(entry.nonce));
    this.#deadlines.set(
      entry.nonce,
      this.clock.setTimeout(() => this.#expired(entry.nonce), ms),
    );
  }

  #expired(nonce) {
    const entry = this.#entries.get(nonce);
    if (entry?.state !== 'pending') return;
    if (this.#inFlight.get(entry.channel) !== nonce) return this.#fail(entry, 'timeout', 'No answer from the server.');
    this.#inFlight.delete(entry.channel);
    const unanswered = (entry.unanswered ?? 0) + 1;
    if (unanswered < MAX_UNANSWERED) this.#fail({ ...entry, unanswered }, 'timeout', 'No answer from the server.');
    else this.#fail({ ...entry, unanswered }, 'unanswered', `The server did not answer ${unanswered} times.`);
    this.#pump(entry.channel);
  }

  #fail(entry, code, message) {
    this.#silence(entry.nonce);
    this.#update(entry, { state: 'failed', error: { code, message } });
  }

  /** Entries are replaced, not changed, so that a view may compare them by identity. */
  #update(entry, change) {
    const updated = { ...entry, ...change };
    this.#entries.set(entry.nonce, updated);
    if (updated.state !== 'sent') this.#keep(updated);
    this.onChange(entry.channel);
  }

  async #keep(entry) {
    if (!this.#store || !this.#lasting) return;
    try {
      const { uploads, ...kept } = entry;
      await this.#store.put(uploads ? { ...kept, attachments: uploads.attachments, files: uploads.files } : kept);
      this.onKept(entry);
    } catch {
      // Files may be too large for a store that keeps texts.
      if (entry.uploads) return;
      // It costs the message its life over a reload, not its way out now.
      if (this.#lasting) this.onVolatile();
      this.#lasting = false;
    }
  }

  #forget(nonce) {
    this.#silence(nonce);
    this.#store?.remove(nonce).catch(() => {});
  }

  #silence(nonce) {
    this.clock.clearTimeout(this.#deadlines.get(nonce));
    this.#deadlines.delete(nonce);
  }
}

/** What only waited too long is tried again by itself. @param {Entry} entry @returns {Entry} */
function revive(entry) {
  return entry.error?.code === 'timeout' ? { ...entry, state: 'pending', error: null } : entry;
}
