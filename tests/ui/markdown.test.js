import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMarkdown } from '../../chatcore-hyper/ui/markdown.js';

/** A tree as text: `strong(a)`; what is plain stands for itself. */
function shown(text) {
  return parseMarkdown(text).map(block).join(' | ');
}

function block(node) {
  if (node.type === 'paragraph') return inlines(node.children);
  if (node.type === 'fence') return `fence(${node.text})`;
  if (node.type === 'quote') return `quote(${node.children.map(block).join(' | ')})`;
  return `${node.start === null ? 'ul' : `ol${node.start}`}(${node.items.map((item) => item.map(block).join(' | ')).join('; ')})`;
}

function inlines(nodes) {
  return nodes
    .map((node) => {
      if (typeof node === 'string') return node;
      if (node.type === 'code') return `code(${node.text})`;
      if (node.type === 'link') return `link(${inlines(node.children)} → ${node.href})`;
      return `${node.type}(${inlines(node.children)})`;
    })
    .join('');
}

const same = (cases) => cases.forEach(([text, expected]) => assert.equal(shown(text), expected, text));
const literal = (texts) => same(texts.map((text) => [text, text]));

function links(text) {
  const found = [];
  const walk = (node) => {
    if (node.type === 'link') found.push(node.href);
    for (const child of node.children ?? []) walk(child);
  };
  parseMarkdown(text).forEach(walk);
  return found;
}

test('strong, emphasised, struck and code', () => {
  same([
    ['**b** *i* _i_ ~~s~~ `c`', 'strong(b) em(i) em(i) del(s) code(c)'],
    ['***both***', 'strong(em(both))'],
    ['***a* b**', 'strong(em(a) b)'],
    ['***a** b*', 'strong(*a) b*'],
    ['**a *b* c**', 'strong(a em(b) c)'],
    ['*a **b***', 'em(a strong(b))'],
    ['**这**里', 'strong(这)里'],
    ['(*i*), **b**.', '(em(i)), strong(b).'],
    ['a\n*b*\nc', 'a\nem(b)\nc'],
    ['`` a`b `` and `**`', 'code(a`b) and code(**)'],
    ['**a *b** c*', 'strong(a *b) c*'],
  ]);
});

test('what only looks like a sign is left alone', () => {
  literal([
    'snake_case and __init__ and a_b_c_',
    '2*3*4, 2 * 3 * 4, 2**3 and 4**5',
    '¯\\_(ツ)_/¯',
    '** not strong **',
    '**open', '*open', '~~open', '`open', '[open](', '~one~',
    '*a\n\nb*',
    '\\*not strong*', '# no heading', '---', '|a|b|', '-no list', '>no quote', '1986. was', '->', '-', '*',
    '<b>x</b> &amp; <!-- -->',
    '[x](javascript:alert(1))', '[x](data:text/html,x)', '[x](//e.test)', '[x](/x)', '![x](x)',
  ]);
});

test('blocks: fences, quotes, lists', () => {
  same([
    ['```\n**a**\n  b\n```', 'fence(**a**\n  b)'],
    ['before\n```js\nx\n```\nafter', 'before | fence(x) | after'],
    ['```\nopen', '```\nopen'],
    ['> a\n> b\nc', 'quote(a\nb) | c'],
    ['> a\n>\n> > b', 'quote(a | quote(b))'],
    ['- a\n- **b**\n\nc', 'ul(a; strong(b)) | c'],
    ['1. a\n2. b', 'ol1(a; b)'],
    ['7) a\n- b', 'ol7(a) | ul(b)'],
    ['- a\n  - b\n  c\n- d', 'ul(a | ul(b) | c; d)'],
    ['- a\n\n- b', 'ul(a; b)'],
    ['> - a\n> ```\n> x\n> ```', 'quote(ul(a) | fence(x))'],
    ['  indented\n    code', '  indented\n    code'],
    ['\n\na\n\n\nb\n', 'a\n\n\nb'],
  ]);
});

test('only http, https and mailto become links', () => {
  assert.deepEqual(links('http://a.test https://b.test/x?y=1#z mailto:ann@c.test'), ['http://a.test/', 'https://b.test/x?y=1#z', 'mailto:ann@c.test']);
  assert.deepEqual(links('javascript:alert(1) data:text/html,x ftp://d.test //e.test vbscript:x http:// https:///'), []);
  for (const target of ['javascript:alert(1)', 'JaVaScRiPt:alert(1)', '\u0001javascript:x', 'data:text/html,x', 'vbscript:x', 'file:///x', '//a.test', 'a.test', '#x', '?x', 'ftp://a.test']) {
    assert.deepEqual(links(`[x](${target})`), [], target);
  }
});

test('a link leaves the sentence around it alone', () => {
  assert.deepEqual(links('(see https://a.test/b_(c)), or <https://d.test>.'), ['https://a.test/b_(c)', 'https://d.test/']);
  same([
    ['**https://a.test/a_b_c**', 'strong(link(https://a.test/a_b_c → https://a.test/a_b_c))'],
    ['https://a.test/*x*', 'link(https://a.test/*x → https://a.test/*x)*'],
    ['[a *b*](https://a.test/(x)) c', 'link(a em(b) → https://a.test/(x)) c'],
    ['[mail](mailto:ann@a.test)', 'link(mail → mailto:ann@a.test)'],
  ]);
});

test('a link does not pretend to lead elsewhere', () => {
  same([
    ['[https://bank.test](https://evil.test)', '[link(https://bank.test → https://bank.test/)](link(https://evil.test → https://evil.test/))'],
    ['[](https://evil.test)', '[](link(https://evil.test → https://evil.test/))'],
  ]);
});

test('what is nested too deep stays as it was written', () => {
  const quotes = '> '.repeat(12);
  assert.equal(shown(`${quotes}x`), `${'quote('.repeat(8)}${'> '.repeat(4)}x${')'.repeat(8)}`);
  const signs = Array.from({ length: 10 }, (_, at) => (at % 2 ? '~~' : '**'));
  const deep = `${signs.map((sign) => `${sign}a`).join(' ')}${[...signs].reverse().join('')}`;
  assert.equal(shown(deep).match(/strong|del/gu).length, 8);
  assert.equal(shown('*'.repeat(30_000)), '*'.repeat(30_000));
});

/** Texts that cost much where a parser goes back; each made of so many characters. */
const HOSTILE = {
  quotes: (n) => '>'.repeat(n),
  'nested quotes': (n) => '> '.repeat(n / 2),
  'quoted lines': (n) => '> > > x\n'.repeat(n / 8),
  stars: (n) => '*'.repeat(n),
  'spaced stars': (n) => '* '.repeat(n / 2),
  'open stars': (n) => '*a '.repeat(n / 3),
  'open strong and struck': (n) => '**a ~~b '.repeat(n / 8),
  'closing stars': (n) => '*a'.repeat(n / 4) + 'b*'.repeat(n / 4),
  'crossing signs': (n) => '**a _b** c_ '.repeat(n / 12),
  underscores: (n) => '_a_'.repeat(n / 3),
  tildes: (n) => '~~'.repeat(n / 2),
  brackets: (n) => '['.repeat(n),
  'closing brackets': (n) => ']('.repeat(n / 2),
  'link heads': (n) => '[a]('.repeat(n / 4),
  'open links': (n) => '[a](https://a.test/('.repeat(n / 20),
  parentheses: (n) => `[a](https://a.test/${'()'.repeat(n / 2)}`,
  'nested links': (n) => '['.repeat(n / 2) + '](https://a.test)'.repeat(n / 34),
  'many addresses': (n) => 'https://'.repeat(n / 8),
  'addresses and brackets': (n) => 'https://a](https://b](mailto:'.repeat(n / 30),
  'an address that ends badly': (n) => `https://a.test/${')'.repeat(n)}`,
  'an address that opens': (n) => `https://a.test/${'('.repeat(n)}`,
  backticks: (n) => '`'.repeat(n),
  'single backticks': (n) => '` '.repeat(n / 2),
  'backticks of every length': (n) => Array.from({ length: Math.sqrt(2 * n) }, (_, at) => '`'.repeat(at)).join(' '),
  'open fences': (n) => '```x\n'.repeat(n / 5),
  fences: (n) => '```\n'.repeat(n / 4),
  'list items': (n) => '- a\n'.repeat(n / 4),
  'nested lists': (n) => Array.from({ length: Math.sqrt(n) }, (_, at) => `${'  '.repeat(at)}- a`).join('\n'),
  'items of two kinds': (n) => '- a\n1. b\n'.repeat(n / 9),
  'empty lines': (n) => '\n'.repeat(n),
  'blank lines': (n) => ' \n'.repeat(n / 2),
  everything: (n) => '> - **a _b [c `d` https://e.test](f) ~~g\n'.repeat(n / 42),
};

for (const [name, make] of Object.entries(HOSTILE)) {
  test(`the work grows with the length: ${name}`, () => {
    const [half, whole] = [4000, 8000].map((length) => {
      const count = { steps: 0 };
      parseMarkdown(make(length), count);
      return count.steps;
    });
    assert.ok(whole <= 2.2 * half + 50, `${half} steps became ${whole}`);
    assert.ok(whole <= 8 * 8000, `${whole} steps`);
  });
}

test('no character is lost but signs', () => {
  const seed = 7;
  let state = seed;
  const random = (bound) => ((state = (state * 48271) % 2147483647), state % bound);
  const pieces = ['*', '**', '_', '~~', '`', '``', '[', '](', ')', 'https://a.test', 'a', 'b', ' ', '\n', '> ', '- ', '1. ', '```', 'ü', '😀'];
  for (let round = 0; round < 2000; round += 1) {
    const text = Array.from({ length: random(30) }, () => pieces[random(pieces.length)]).join('');
    const letters = (value) => value.replace(/https:\/\/a\.test|[^abü😀]/gu, '');
    const words = [];
    const walk = (node) => {
      if (typeof node === 'string') words.push(node);
      else if (node.text !== undefined) words.push(node.text);
      for (const child of node.children ?? node.items?.flat() ?? []) walk(child);
    };
    parseMarkdown(text).forEach(walk);
    // A link's own text is its address, and a fence's first line may name a language.
    if (!text.includes('```')) assert.equal(letters(words.join('')), letters(text), JSON.stringify({ seed, round, text }));
  }
});
