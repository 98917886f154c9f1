import assert from 'node:assert/strict';
import { barriers } from './axe.js';
import { journey } from './journey.js';
import { tour } from './tour.js';

/** Light and dark differ in nothing but their colours. */
const SCHEMES = { light: undefined, dark: ['color-contrast'] };

for (const [place, width] of [['at a desk', 1280], ['on a phone', 390]]) {
  journey(`axe finds nothing grave in any main state ${place}, light and dark`, async (world) => {
    const found = [];
    await tour(world, async (person, state) => {
      if (person.page.viewportSize().width !== width) return;
      for (const [colorScheme, rules] of Object.entries(SCHEMES)) {
        await person.page.emulateMedia({ colorScheme });
        found.push(...(await barriers(person, rules)).map((barrier) => `${state}, ${colorScheme}: ${barrier}`));
      }
    });
    assert.deepEqual(found, []);
  });
}
