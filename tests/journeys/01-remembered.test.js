import assert from 'node:assert/strict';
import { journey } from './journey.js';

journey(
  'somebody who joined is still there after a reload and after closing the browser; the name is theirs',
  async ({ browser }) => {
    const profile = await browser.folder();
    let ann = await browser.person({ profile });
    await ann.join('ann');
    await ann.isIn('general');
    await ann.createChannel('rust');
    await ann.page.reload();
    await ann.isIn('rust');
    await ann.page.getByRole('button', { name: 'ann', exact: true }).waitFor();
    await ann.context.close();

    ann = await browser.person({ profile });
    await ann.visit();
    await ann.isIn('rust');
    await ann.page.getByRole('button', { name: 'ann', exact: true }).waitFor();

    const other = await browser.person({ allow: [/status of 409 \(Conflict\) \S+\/session$/u] });
    await other.visit();
    await other.tryToJoin('Ann');
    await other.page.getByRole('alert').filter({ hasText: 'This name is taken. Choose another.' }).waitFor();
    assert.equal(await other.page.getByLabel('Your name').inputValue(), 'Ann');
    await other.tryToJoin('Bob');
    await other.isIn('general');
  },
);
