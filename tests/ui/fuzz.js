/**
 * Fuzzes the Markdown that a message is shown with: `node fuzz.js --minutes 10 --seed 7`. Whatever the text, it is read
 * in work that grows with its length, its addresses are safe, and its tree is no deeper than it may be.
 */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { safeAddress } from '../../chatcore-hyper/ui/text/links.js';
import { firstLine, parseMarkdown, plainText } from '../../chatcore-hyper/ui/text/markdown.js';

const CORPUS = new URL('./corpus/markdown/', import.meta.url);
const MAX_CHARS = 1000;
const STEPS_PER_CHAR = 8;
const MAX_DEPTH = 40;
const WORDS = [
  '*',
  '**',
  '_',
  '__',
  '~~',
  '`',
  '``',
  '```',
  '```\n',
  '[',
  '](',
  ')',
  '](https://a.test)',
  'https://a.test/(b)',
  'mailto:a@b.test',
  'javascript:alert(1)',
  'data:text/html,x',
  '\n',
  '\n\n',
  ' ',
  '\t',
  '  ',
  '> ',
  '- ',
  '* ',
  '1. ',
  '999) ',
  'a',
  'ü',
  '😀',
  '\u{202e}',
  '\0',
  '\ud800',
  '\u{200d}',
  '<b>',
  '&lt;',
  '\\',
  '"',
  "'",
];

/** Chance that can be repeated. @param {number} seed */
export function chance(seed) {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) % bound;
  };
}

/** @param {string} text */
export function check(text) {
  const count = { steps: 0 };
  const blocks = parseMarkdown(text, count);
  assert.ok(count.steps <= STEPS_PER_CHAR * text.length + 100, `${count.steps} steps for ${text.length} characters`);
  for (const block of blocks) checkNode(block, 0);
  assert.equal(typeof plainText(text), 'string');
  assert.ok(!firstLine({ text, attachments: [] }).includes('\n'));
}

function checkNode(node, depth) {
  assert.ok(depth <= MAX_DEPTH, `nested ${depth} deep`);
  if (typeof node === 'string') return;
  assert.ok(
    ['paragraph', 'fence', 'quote', 'list', 'strong', 'em', 'del', 'code', 'link'].includes(node.type),
    node.type,
  );
  if (node.type === 'link') assert.equal(safeAddress(node.href), node.href, `the address ${node.href} is not safe`);
  for (const child of node.children ?? node.items?.flat() ?? []) checkNode(child, depth + 1);
}

/** A text of the pool, changed in a few places. @param {(bound: number) => number} random @param {string[]} pool */
function mutated(random, pool) {
  let text = pool[random(pool.length)];
  for (let left = random(5); left >= 0; left -= 1) {
    const at = random(text.length + 1);
    const end = Math.min(text.length, at + random(random(4) ? 8 : 200));
    const word = WORDS[random(WORDS.length)];
    const other = pool[random(pool.length)];
    const from = random(other.length + 1);
    text = [
      () => text.slice(0, at) + word + text.slice(at),
      () => text.slice(0, at) + word + text.slice(end),
      () => text.slice(0, at) + text.slice(end),
      () => text.slice(0, at) + text.slice(at, end).repeat(1 + random(30)) + text.slice(at),
      () => text.slice(0, at) + other.slice(from, from + random(60)) + text.slice(end),
      () => text.slice(0, at) + word.repeat(1 + random(100)) + text.slice(at),
      () => text.slice(0, at) + String.fromCharCode(random(0x10000)) + text.slice(at),
    ][random(7)]();
  }
  return text.slice(0, MAX_CHARS);
}

/**
 * Checks the corpus, then mutations of it for as long as `more` says.
 *
 * @param {number} seed @param {(executions: number) => boolean} more @returns {number} how many texts were checked
 */
export function fuzz(seed, more) {
  const random = chance(seed);
  const pool = readdirSync(CORPUS)
    .sort()
    .map((name) => readFileSync(new URL(name, CORPUS), 'utf8'));
  pool.forEach(check);
  let executions = 0;
  for (; more(executions); executions += 1) {
    const text = mutated(random, pool);
    try {
      check(text);
    } catch (error) {
      throw new Error(`seed ${seed}, text ${JSON.stringify(text)}: ${error.message}`, { cause: error });
    }
  }
  return executions + pool.length;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const { values } = parseArgs({ options: { minutes: { type: 'string', default: '1' }, seed: { type: 'string' } } });
  const seed = Number(values.seed ?? Date.now() % 2 ** 32);
  const end = Date.now() + Number(values.minutes) * 60_000;
  console.log(`markdown: seed ${seed}`);
  console.log(
    `markdown: ${fuzz(seed, (executions) => executions % 256 !== 0 || Date.now() < end)} executions, 0 failures`,
  );
}
