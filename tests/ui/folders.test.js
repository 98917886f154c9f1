import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const UI = new URL('../../chatcore-hyper/ui/', import.meta.url);

/** From the lowest up. A module imports of its own folder and of those below; two in one line know nothing of each other. */
const LAYERS = [['text'], ['core'], ['dom'], ['views'], ['timeline', 'composer'], ['conversation'], ['shell', 'room']];

/** What each module imports, for its code or for a type, as paths from the root. */
function imports() {
  const modules = readdirSync(UI, { recursive: true }).filter((path) => path.endsWith('.js'));
  return new Map(modules.map((path) => [path, importsOf(path, readFileSync(new URL(path, UI), 'utf8'))]));
}

function importsOf(path, source) {
  const addresses = [...source.matchAll(/(?:\bfrom |\bimport |\bimport\()'(\.[^']*)'/gu)].map(([, address]) => address);
  return addresses.map((address) => new URL(address, new URL(path, UI)).href.slice(UI.href.length));
}

const folderOf = (path) => path.split('/').slice(0, -1).join('/');
const layerOf = (folder) => LAYERS.findIndex((layer) => layer.includes(folder));

function mayImport(from, to) {
  const [folder, other] = [folderOf(from), folderOf(to)];
  return (
    folder === other || to === 'base.js' || from === 'chat.js' || (other !== '' && layerOf(other) < layerOf(folder))
  );
}

test('every folder of modules has its layer', () => {
  const folders = new Set([...imports().keys()].map(folderOf));
  assert.deepEqual([...folders].sort(), ['', ...LAYERS.flat()].sort());
});

test('no import runs up', () => {
  const all = [...imports()].flatMap(([from, targets]) => targets.map((to) => ({ from, to })));
  assert.ok(all.length > 150);
  assert.deepEqual(
    all.filter(({ from, to }) => !mayImport(from, to)),
    [],
  );
});

test('an upward import and one from beside are told', () => {
  const source = "import './b.js';\nimport {\n  a,\n} from '../core/a.js';\n/** @type {import('../shell/c.js').C} */";
  const targets = importsOf('timeline/a.js', source);
  assert.deepEqual(targets, ['timeline/b.js', 'core/a.js', 'shell/c.js']);
  assert.deepEqual(
    targets.map((to) => mayImport('timeline/a.js', to)),
    [true, true, false],
  );
  assert.equal(mayImport('timeline/a.js', 'composer/a.js'), false);
  assert.equal(mayImport('text/a.js', 'chat.js'), false);
});
