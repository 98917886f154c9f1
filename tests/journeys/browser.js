import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { tmpdir } from 'node:os';
import { chromium } from 'playwright-core';
import { Person } from './person.js';

const ARGS = [
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const LAUNCH = { executablePath: executable(), headless: true, args: ARGS };

/** What a page looks like where a journey does not say otherwise. */
const DESK = {
  viewport: { width: 1280, height: 800 },
  locale: 'en-GB',
  timezoneId: 'Europe/Paris',
  colorScheme: 'light',
};

/** The browser of everybody without a folder of their own. It starts with the first of them. */
let shared = null;

/** The people of one journey: each with a profile of their own, all watched. */
export class Browser {
  #folders = [];
  /** @type {Person[]} */
  people = [];

  /** @param {import('./server.js').Server | import('./balancer.js').Balancer} server */
  constructor(server) {
    this.server = server;
  }

  /**
   * Opens the chat in a new profile, or in one that was used before.
   * @param {{profile?: string, allow?: RegExp[], hosts?: string[], server?: Browser['server']} & Record<string, any>} options
   *   `profile`: a folder, with a browser of its own, which can be closed and opened again; `allow`: console errors that the
   *   journey provokes; `hosts`: other hosts that its pages may use; `server`: what leads to the chat, if not the journey's own
   */
  async person({ profile, allow = [], hosts = [], server = this.server, ...look } = {}) {
    const context = profile
      ? await chromium.launchPersistentContext(profile, { ...LAUNCH, ...DESK, ...look })
      : await (await (shared ??= chromium.launch(LAUNCH))).newContext({ ...DESK, ...look });
    const person = await Person.watch(context, { server, allow, hosts });
    this.people.push(person);
    return person;
  }

  /** A new folder for somebody or for something of theirs, which is removed at the end of the journey. */
  async folder() {
    const folder = await mkdtemp(join(tmpdir(), 'chatcore-profile-'));
    this.#folders.push(folder);
    return folder;
  }

  /** Somebody new, who has joined as `name` and is in `general`. */
  async joined(name, options) {
    const person = await this.person(options);
    await person.join(name);
    await person.isIn('general');
    return person;
  }

  /** Ends what is shared by all journeys of this process. */
  static async quit() {
    await (await shared)?.close();
    shared = null;
  }

  async close() {
    for (const person of this.people) await person.context.close();
    for (const folder of this.#folders) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** `CHROMIUM`, or the one on the `PATH`. */
function executable() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const places = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'chromium'));
  const found = [...places, '/usr/bin/chromium'].find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  if (!found) throw new Error('no Chromium: set CHROMIUM or put it on the PATH');
  return found;
}
