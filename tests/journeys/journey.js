import { test } from 'node:test';
import { Browser } from './browser.js';
import { Server } from './server.js';

/** When a journey is taken for hung, on a machine however busy. */
const TIMEOUT_MS = 300_000;

/**
 * A journey: a server of its own, people with new profiles, and at the end nothing wrong on any page.
 * @param {string} name
 * @param {(world: {server: Server, browser: Browser}) => Promise<void>} run
 */
export function journey(name, run) {
  test(name, { timeout: TIMEOUT_MS }, async () => {
    const server = await Server.start();
    const browser = new Browser(server);
    try {
      await run({ server, browser });
      for (const person of browser.people) person.wasFine();
    } finally {
      await browser.close();
      await server.stop();
    }
  });
}
