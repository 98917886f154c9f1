import { after, test } from 'node:test';
import { Balancer } from './balancer.js';
import { Browser } from './browser.js';
import { Postgres } from './postgres.js';
import { Server } from './server.js';

/** When a journey is taken for hung, on a machine however busy. */
const TIMEOUT_MS = 300_000;

after(() => Browser.quit());

/**
 * A journey: a server of its own, people with new profiles, and at the end nothing wrong on any page.
 * @param {string} name
 * @param {(world: {server: Server, browser: Browser}) => Promise<void>} run
 */
export function journey(name, run) {
  test(name, { timeout: TIMEOUT_MS }, async () => {
    const server = await Server.start();
    try {
      await withBrowser(server, (browser) => run({ server, browser }));
    } finally {
      await server.stop();
    }
  });
}

/**
 * A journey on two servers, which share a database, behind two balancers: `ways[0]` leads to the first server, `ways[1]`
 * to the second one.
 * @param {string} name
 * @param {(world: {servers: Server[], ways: Balancer[], browser: Browser}) => Promise<void>} run
 */
export function journeyOnNodes(name, run) {
  test(name, { timeout: TIMEOUT_MS }, async () => {
    const opened = [];
    const open = async (starting) => {
      const started = await starting;
      opened.push(started);
      return started;
    };
    try {
      const postgres = await open(Postgres.start());
      const servers = [];
      const ways = [];
      for (const node of ['one', 'two']) {
        const server = await open(Server.start(['--database-url', postgres.url, '--node-name', node]));
        servers.push(server);
        ways.push(await open(Balancer.to(server)));
      }
      await withBrowser(ways[0], (browser) => run({ servers, ways, browser }));
    } finally {
      for (const started of opened.toReversed()) await started.stop();
    }
  });
}

async function withBrowser(server, run) {
  const browser = new Browser(server);
  try {
    await run(browser);
    for (const person of browser.people) person.wasFine();
  } finally {
    await browser.close();
  }
}
