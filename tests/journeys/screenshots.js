import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Browser } from './browser.js';
import { Server } from './server.js';
import { tour } from './tour.js';

/** Takes pictures of the main states, light and dark, into the folder given as the argument. */
const [folder] = process.argv.slice(2);
if (!folder) throw new Error('usage: npm run screenshots -- <folder>');
await mkdir(folder, { recursive: true });

const server = await Server.start();
const browser = new Browser(server);
try {
  await tour({ browser, server }, async ({ page }, state) => {
    const { width } = page.viewportSize();
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: join(folder, `${state}-${width}-${colorScheme}.png`) });
    }
  });
} finally {
  await browser.close();
  await Browser.quit();
  await server.stop();
}
