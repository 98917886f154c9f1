import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endsInFence, parseMarkdown, plainText } from '../../chatcore-hyper/ui/text/markdown.js';

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

const same = (cases) => {
  for (const [text, expected] of cases) assert.equal(shown(text), expected, text);
};
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
    '**open',
    '*open',
    '~~open',
    '`open',
    '[open](',
    '~one~',
    '*a\n\nb*',
    '\\*not strong*',
    '# no heading',
    '---',
    '|a|b|',
    '-no list',
    '>no quote',
    '1986. was',
    '->',
    '-',
    '*',
    '<b>x</b> &amp; <!-- -->',
    '[x](javascript:alert(1))',
    '[x](data:text/html,x)',
    '[x](//e.test)',
    '[x](/x)',
    '![x](x)',
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

test('code beside the opening sign is kept', () => {
  same([
    ['```let a = 1;\nb\n```', 'fence(let a = 1;\nb)'],
    ['```js\n```', 'fence(js)'],
    ['``` two words\nx\n```', 'fence(two words\nx)'],
    ['```c++\nx\n```', 'fence(x)'],
    ['```code```', 'code(code)'],
    ['```\n```', 'fence()'],
  ]);
  assert.equal(parseMarkdown('```c++\nx\n```')[0].language, 'c++');
  assert.equal(parseMarkdown('```\nx\n```')[0].language, '');
});

test('lists nest by two, three and four spaces and by tabs', () => {
  for (const indent of ['  ', '   ', '    ', '\t']) {
    const lines = (...list) => list.map(([depth, text]) => indent.repeat(depth) + text).join('\n');
    same([
      [
        lines([0, '- a'], [1, '- b'], [2, '- c'], [3, '- d'], [2, '- e'], [0, '- f']),
        'ul(a | ul(b | ul(c | ul(d); e)); f)',
      ],
      [lines([0, '1. a'], [1, '- b'], [2, '1. c'], [1, '- d'], [0, '2. e']), 'ol1(a | ul(b | ol1(c); d); e)'],
    ]);
  }
  same([
    ['- a\n  - b\n   - c', 'ul(a | ul(b; c))'],
    ['- a\n - b', 'ul(a; b)'],
    ['- a\n      - b\n  - c', 'ul(a | ul(b; c))'],
  ]);
});

test('an item keeps its paragraphs and the lines of its code', () => {
  same([
    ['- a\n  ```\n  b\n\n\n    c\n  ```\n- d', 'ul(a | fence(b\n\n\n  c); d)'],
    ['- a\n\n    b\n      c', 'ul(a\n\nb\n  c)'],
    ['- a\n\n\n- b\n\ntext', 'ul(a; b) | text'],
  ]);
});

test('items keep the numbers that they were given', () => {
  const numbers = (text) => parseMarkdown(text)[0].numbers;
  assert.deepEqual(numbers('1. a\n5. b\n5. c\n2) d'), [1, 5, 5, 2]);
  assert.deepEqual(numbers('- a\n- b'), []);
  assert.equal(plainText('3. a\n1. b\n- c'), '3. a\n1. b\n• c');
});

test('a mark may end within a word', () => {
  same([
    ['**bold**text', 'strong(bold)text'],
    ['**two words**text', 'strong(two words)text'],
    ['*it*text and ~~s~~t', 'em(it)text and del(s)t'],
    ['text**bold**', 'textstrong(bold)'],
    ['un**believ**able ~~a~~b', 'unstrong(believ)able del(a)b'],
    ['**1**st', 'strong(1)st'],
  ]);
  literal([
    '*p = a*b',
    'a*b*c',
    'x**2 + y**2',
    'f(**kwargs, x**2)',
    'a**b or c**d',
    '_a_b',
    '2**n',
    '- - -',
    '* * *',
    '***',
  ]);
});

test('a text ends in code as long as its fence is open', () => {
  for (const text of ['```', '```js\nx', 'a\n```\n', '```\na\n```\n```', '```let a;\n'])
    assert.equal(endsInFence(text), true, text);
  for (const text of ['', '```a```', '```\na\n```', '```\na\n```\nb', '`a', ' ```'])
    assert.equal(endsInFence(text), false, text);
});

test('an address ends where a reader sees its end', () => {
  const ends = (text) => links(text).map((href) => decodeURI(href));
  const same = { '请看https://example.org/a。谢谢': 'https://example.org/a' };
  Object.assign(same, {
    'https://example.org/a，详见': 'https://example.org/a',
    'https://example.org。谢谢': 'https://example.org/',
    '（https://example.org/a）': 'https://example.org/a',
    '《x》https://example.org/a《y》': 'https://example.org/a',
    '「https://example.org/a」': 'https://example.org/a',
    '“https://example.org/a”': 'https://example.org/a',
    '«https://example.org/a»': 'https://example.org/a',
    'https://example.org/a، ثم': 'https://example.org/a',
    'https://example.org/a؟': 'https://example.org/a',
    'https://example.org/a।': 'https://example.org/a',
    'https://example.org/a… b': 'https://example.org/a',
    'https://example.org/a—b': 'https://example.org/a',
    'https://example.org/a→b': 'https://example.org/a',
    'https://example.org/a\u200bb': 'https://example.org/a',
    'https://example.org/a\u202eb': 'https://example.org/a',
    'https://example.org/a\u3000b': 'https://example.org/a',
    'https://example.org谢谢': 'https://example.org/',
    'https://localhost:8080を見て': 'https://localhost:8080/',
    'https://example.org/docs了解更多': 'https://example.org/docs',
    'https://example.org/a를 보세요': 'https://example.org/a',
    'https://example.org/a’ b': 'https://example.org/a',
  });
  for (const [text, href] of Object.entries(same)) assert.deepEqual(ends(text), [href], text);
});

test('an address in any script is one', () => {
  const ends = (text) => links(text).map((href) => decodeURI(href));
  for (const path of [
    'wiki/维基百科',
    'wiki/Москва_(город)',
    'wiki/Schrödinger’s_cat',
    'wiki/Michelson–Morley',
    'wiki/ジョン・レノン',
    'نص/صفحة',
    'a?q=日本語&b=1#c',
    '😀',
  ]) {
    assert.deepEqual(ends(`x https://example.org/${path} y`), [`https://example.org/${path}`]);
  }
  const hosts = ['https://пример.рф/', 'https://例え.jp/', 'https://abc中文.com/'];
  assert.deepEqual(
    links(hosts.join(' ')),
    hosts.map((address) => new URL(address).href),
  );
});

test('only http, https and mailto become links', () => {
  assert.deepEqual(links('http://a.test https://b.test/x?y=1#z mailto:ann@c.test'), [
    'http://a.test/',
    'https://b.test/x?y=1#z',
    'mailto:ann@c.test',
  ]);
  assert.deepEqual(
    links('javascript:alert(1) data:text/html,x ftp://d.test //e.test vbscript:x http:// https:///'),
    [],
  );
  for (const target of [
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    '\u0001javascript:x',
    'data:text/html,x',
    'vbscript:x',
    'file:///x',
    '//a.test',
    'a.test',
    '#x',
    '?x',
    'ftp://a.test',
  ]) {
    assert.deepEqual(links(`[x](${target})`), [], target);
  }
});

test('a link leaves the sentence around it alone', () => {
  assert.deepEqual(links('(see https://a.test/b_(c)), or <https://d.test>.'), [
    'https://a.test/b_(c)',
    'https://d.test/',
  ]);
  same([
    ['**https://a.test/a_b_c**', 'strong(link(https://a.test/a_b_c → https://a.test/a_b_c))'],
    ['https://a.test/*x*', 'link(https://a.test/*x → https://a.test/*x)*'],
    ['[a *b*](https://a.test/(x)) c', 'link(a em(b) → https://a.test/(x)) c'],
    ['[mail](mailto:ann@a.test)', 'link(mail → mailto:ann@a.test)'],
  ]);
});

test('a link does not pretend to lead elsewhere', () => {
  same([
    [
      '[https://bank.test](https://evil.test)',
      '[link(https://bank.test → https://bank.test/)](link(https://evil.test → https://evil.test/))',
    ],
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
  const random = (bound) => (state = (state * 48271) % 2147483647) % bound;
  const pieces = [
    '*',
    '**',
    '_',
    '~~',
    '`',
    '``',
    '[',
    '](',
    ')',
    'https://a.test',
    'a',
    'b',
    ' ',
    '\n',
    '> ',
    '- ',
    '1. ',
    '```',
    'ü',
    '😀',
  ];
  for (let round = 0; round < 2000; round += 1) {
    const text = Array.from({ length: random(30) }, () => pieces[random(pieces.length)]).join('');
    const letters = (value) => value.replace(/https:\/\/a\.test|[^abü😀]/gu, '');
    const words = [];
    const walk = (node) => {
      if (typeof node === 'string') words.push(node);
      else if (node.text !== undefined) words.push(node.language ?? '', node.text);
      for (const child of node.children ?? node.items?.flat() ?? []) walk(child);
    };
    parseMarkdown(text).forEach(walk);
    // A link's own text is its address, and of a fence only the language stands beside its text.
    assert.equal(letters(words.join('')), letters(text), JSON.stringify({ seed, round, text }));
  }
});
