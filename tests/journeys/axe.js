import axe from 'axe-core';

/** What a finding must be to count. */
const GRAVE = ['serious', 'critical'];

/** The rules that look at colours. The others find the same in the dark as in the light. */
const OF_COLOURS = ['color-contrast', 'link-in-text-block'];

/**
 * What axe finds on this person's page as it stands, a line each. Its source comes in by the debugger, which the page's
 * content security policy leaves alone.
 * @param {import('./person.js').Person} person
 * @param {{forced?: boolean, ofColours?: boolean}} [look] `forced`: whether the system forces its colours on the page: then
 *   no script sees those that are drawn; `ofColours`: whether only colours are looked at
 * @returns {Promise<string[]>}
 */
export async function barriers({ context, page }, { forced = false, ofColours = false } = {}) {
  const debug = await context.newCDPSession(page);
  await debug.send('Runtime.evaluate', {
    expression: `globalThis.axe ??= (() => { ${axe.source}; return axe; })(); undefined`,
  });
  await debug.detach();
  // What fades in has the colours that people read only when it is there.
  await page.evaluate(async () => {
    const ends = document.getAnimations().filter(({ effect }) => effect?.getComputedTiming().endTime !== Infinity);
    await Promise.allSettled(ends.map(({ finished }) => finished));
  });
  // To read the style sheets of a shadow tree it would write an inline style, which the page's policy refuses.
  const options = {
    preload: { assets: ['media'] },
    resultTypes: ['violations'],
    ...(ofColours ? { runOnly: OF_COLOURS } : { rules: { 'color-contrast': { enabled: !forced } } }),
  };
  const { violations, passes } = await page.evaluate((given) => globalThis.axe.run(document, given), options);
  if (passes.length === 0) throw new Error('axe has looked at nothing');
  const grave = violations.filter(({ impact }) => GRAVE.includes(impact));
  return grave.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary}`),
  );
}
