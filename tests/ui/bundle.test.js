import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { test } from 'node:test';

const UI = new URL('../../chatcore-hyper/ui/', import.meta.url);

/** TypeScript's own description of a browser is in a package for the platform. */
function globals() {
  const typescript = createRequire(createRequire(import.meta.url).resolve('typescript/package.json'));
  const folder = `${dirname(typescript.resolve(`@typescript/typescript-${process.platform}-${process.arch}/package.json`))}/lib`;
  const files = readdirSync(folder).filter((name) => /^lib\.(?:dom|es).*\.d\.ts$/.test(name));
  const text = files.map((name) => readFileSync(`${folder}/${name}`, 'utf8')).join('\n');
  return new Set([...text.matchAll(/^declare (?:var|function) (\w+)/gm)].map(([, name]) => name));
}

test('no module declares a name that another one, in one scope with it, would take for the browser\'s', () => {
  const taken = globals();
  for (const name of ['fetch', 'close', 'location', 'Map', 'Range']) assert.ok(taken.has(name), name);
  const modules = readdirSync(UI).filter((name) => name.endsWith('.js'));
  const declared = modules.flatMap((module) => {
    const declarations = readFileSync(new URL(module, UI), 'utf8').matchAll(/^(?:export )?(?:async )?(?:function\*?|class|const|let) (\w+)/gm);
    return [...declarations].map(([, name]) => ({ module, name }));
  });
  assert.ok(declared.length > modules.length);
  assert.deepEqual(declared.filter(({ name }) => taken.has(name)), []);
});
