// Checks what a crate shows, by two rules of CONTRIBUTING.md:
//
// - The crates of foreign types and traits are those of the list in its Cargo.toml
//   (`[package.metadata.external-types] allowed`). A new major version of one of these is a new major version of the
//   crate.
// - A struct of which all fields are public, and an enum, can grow: it is `#[non_exhaustive]`, or its documentation
//   says why it is "exhaustive on purpose". The tools of `testkit` are exempt.
//
//     node tests/public_api.mjs CRATE RUSTDOC_JSON
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What every Rust program has. */
const STANDARD = ['std', 'core', 'alloc'];

const [name, file] = process.argv.slice(2);
const docs = JSON.parse(readFileSync(file, 'utf8'));

/** By crate: what of it is shown, and by which items. @type {Map<string, Set<string>>} */
const shown = new Map();

/** @param {unknown} value a part of an item @param {string} item its name */
function look(value, item) {
  if (Array.isArray(value)) {
    for (const part of value) look(part, item);
  } else if (value !== null && typeof value === 'object') {
    const path = 'id' in value && docs.paths[value.id];
    if (path && path.crate_id !== 0 && !STANDARD.includes(path.path[0])) {
      const crate = path.path[0];
      if (!shown.has(crate)) shown.set(crate, new Set());
      shown.get(crate).add(`${path.path.join('::')} in ${item}`);
    }
    for (const part of Object.values(value)) look(part, item);
  }
}

for (const { crate_id, name, inner } of Object.values(docs.index)) {
  // What a crate implements for every type, and the compiler by itself, is not this crate's doing.
  const { blanket_impl, is_synthetic } = inner.impl ?? {};
  if (crate_id === 0 && !blanket_impl && !is_synthetic) look(inner, name ?? Object.keys(inner)[0]);
}

const options = { encoding: 'utf8', maxBuffer: 1 << 26 };
const metadata = JSON.parse(execFileSync('cargo', ['metadata', '--no-deps', '--format-version=1'], options));
const { allowed } = metadata.packages.find(p => p.name === name).metadata['external-types'];

const faults = [];
for (const [crate, items] of shown) {
  if (!allowed.includes(crate)) faults.push(`shows ${crate}, which is not on its list: ${[...items].slice(0, 5).join(', ')}`);
}
for (const crate of allowed) {
  if (!shown.has(crate)) faults.push(`shows nothing of ${crate}, which is on its list`);
}
/** Whether every field or variant is public, so that an app may name all of them. */
function isOpen({ struct, enum: variants }) {
  if (variants) return true;
  const { plain, tuple } = struct?.kind ?? {};
  if (plain) return plain.fields.length > 0 && !plain.has_stripped_fields;
  return (tuple?.length ?? 0) > 0 && tuple.every(field => field !== null);
}

for (const { id, crate_id, name, inner, attrs, docs: text } of Object.values(docs.index)) {
  if (crate_id !== 0 || !isOpen(inner) || attrs.includes('non_exhaustive')) continue;
  if (docs.paths[id].path.includes('testkit') || /exhaustive\s+on\s+purpose/i.test(text ?? '')) continue;
  faults.push(`shows ${name}, which is neither #[non_exhaustive] nor exhaustive on purpose`);
}
for (const fault of faults) console.error(`${name} ${fault}`);
console.log(`${name}: types of ${[...shown.keys()].sort().join(', ')}`);
process.exitCode = faults.length === 0 ? 0 : 1;
