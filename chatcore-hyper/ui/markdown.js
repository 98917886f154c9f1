/**
 * What people mean by the signs in a text: a tree of blocks. Every pass goes over the text once and nesting is bounded, so
 * the work grows with the length whatever the text; what is nested too deep, unfinished or not known stays as it was written.
 *
 * @typedef {string | {type: 'strong' | 'em' | 'del', children: Inline[]} | {type: 'code', text: string}
 *   | {type: 'link', href: string, children: Inline[]}} Inline
 * @typedef {{type: 'paragraph', children: Inline[]} | {type: 'fence', text: string}
 *   | {type: 'quote', children: Block[]} | {type: 'list', start: ?number, items: Block[][]}} Block
 */

import { safeAddress, trimAddress } from './links.js';

/** The deepest nesting, of blocks and of signs within a line. */
const MAX_DEPTH = 8;

/** A longer text is shown as it is. */
const MAX_CHARS = 20_000;

const FENCE = /^```[^`]*$/u;
const QUOTE = /^> \s*\S/u;
const FENCE_END = /^```\s*$/u;
const ITEM = /^(?:[-*+]|(\d{1,3})[.)]) +(?=\S)/u;
const INDENTED = /^(?: {2,}|\t)\S/u;
const BLANK = /^\s*$/u;

const SIGN = /`+|\*+|_+|~~|\[|\]\(|\n\s*\n|https?:\/\/|mailto:/giu;
const ADDRESS = /(?:(?!\]\()[^\s<>"`])+/yu;
const TARGET = /\]\(([^\s()<>"]*(?:\([^\s()<>"]*\)[^\s()<>"]*)*)\)/yu;

const TYPES = { '*': 'em', _: 'em', '**': 'strong', '~~': 'del', '[': 'link' };

/**
 * @param {string} text
 * @param {{steps: number}} [count] is told how much work it was
 * @returns {Block[]}
 */
export function parseMarkdown(text, count = { steps: 0 }) {
  if (text.length > MAX_CHARS) return [{ type: 'paragraph', children: [text] }];
  return parseBlocks(text.split('\n'), 0, count);
}

/** A text without its signs, each block and item beneath the other. @param {string} text */
export function plainText(text) {
  return plain(parseMarkdown(text), '\n');
}

/** What a message says in one line, without signs: the first of its text, or the names of its files. @param {import('./protocol.js').Message} message */
export function firstLine({ text, attachments }) {
  const lines = plainText(text).split('\n');
  return lines.find((line) => line.trim() !== '') ?? attachments.map(({ name }) => name).join(', ');
}

function plain(nodes, between) {
  return nodes.map((node) => (typeof node === 'string' ? node : (node.text ?? plainNode(node)))).join(between);
}

function plainNode({ type, children, items }) {
  return items ? items.map((item) => `• ${plain(item, '\n')}`).join('\n') : plain(children, type === 'quote' ? '\n' : '');
}

function parseBlocks(lines, depth, count) {
  const blocks = [];
  let plain = [];
  let fences = depth < MAX_DEPTH;
  const flush = () => {
    const text = plain.join('\n').replace(/^(?:[^\S\n]*\n)+/u, '').trimEnd();
    if (text !== '') blocks.push({ type: 'paragraph', children: parseInline(text, count) });
    plain = [];
  };
  for (let at = 0; at < lines.length; ) {
    const line = lines[at];
    count.steps += 1;
    let end = at;
    let block = null;
    if (fences && FENCE.test(line)) {
      end = lines.findIndex((other, place) => place > at && FENCE_END.test(other)) + 1;
      // What is not found from here is not found from further down.
      fences = end > 0;
      if (fences) block = { type: 'fence', text: lines.slice(at + 1, end - 1).join('\n') };
    } else if (depth < MAX_DEPTH && QUOTE.test(line)) {
      while (end < lines.length && (lines[end].startsWith('> ') || lines[end] === '>')) end += 1;
      block = { type: 'quote', children: parseBlocks(lines.slice(at, end).map((quoted) => quoted.slice(2)), depth + 1, count) };
    } else if (depth < MAX_DEPTH && ITEM.test(line)) {
      [block, end] = parseList(lines, at, depth, count);
    }
    if (block) {
      flush();
      blocks.push(block);
      count.steps += end - at;
      at = end;
    } else {
      plain.push(line);
      at += 1;
    }
  }
  flush();
  return blocks;
}

function parseList(lines, from, depth, count) {
  const number = ITEM.exec(lines[from])[1];
  const items = [];
  const begins = (line) => {
    const item = ITEM.exec(line ?? '');
    return item !== null && (item[1] === undefined) === (number === undefined);
  };
  let at = from;
  for (; at < lines.length; at += 1) {
    const line = lines[at];
    if (begins(line)) items.push([line.replace(ITEM, '')]);
    else if (INDENTED.test(line)) items.at(-1).push(line.replace(/^(?: {2,3}|\t)/u, ''));
    else if (!BLANK.test(line) || !(begins(lines[at + 1]) || INDENTED.test(lines[at + 1] ?? ''))) break;
  }
  const start = number === undefined ? null : Number(number);
  return [{ type: 'list', start, items: items.map((item) => parseBlocks(item, depth + 1, count)) }, at];
}

/** @returns {Inline[]} */
function parseInline(text, count) {
  return build(new Tokens(text, count).tokens, count);
}

/** Nests what the signs hold. */
function build(tokens, count) {
  const root = [];
  const stack = [root];
  for (const token of tokens) {
    count.steps += 1;
    const top = stack.at(-1);
    if (token.type && stack.length <= MAX_DEPTH) {
      const node = { type: token.type, ...(token.href && { href: token.href }), children: [] };
      token.built = true;
      top.push(node);
      stack.push(node.children);
    } else if (token.closes?.built) stack.pop();
    else if (token.leaf) top.push(token.leaf);
    else {
      const text = token.sign ?? token;
      // One string for all that is plain, so that a name or a code with signs in it stays whole.
      if (typeof top.at(-1) === 'string') top.push(top.pop() + text);
      else top.push(text);
    }
  }
  return root;
}

/** What a run of stars stands for; three of them close in the order that the innermost asks for. */
function marksOf(run, innermost) {
  if (run !== '***') return [run];
  return innermost === '*' ? ['*', '**'] : ['**', '*'];
}

/** The signs of a paragraph in their order, those that belong together knowing of each other. */
class Tokens {
  /** @type {(string | {leaf: Inline} | {sign: string, place?: number, type?: string, href?: string, closes?: any})[]} */
  tokens = [];
  /** Signs that may be closed, innermost last. */
  #open = [];
  /** How many of each wait, so that nothing is sought in vain. */
  #waiting = {};
  /** Where runs of backticks stand, by their length, the last first. @type {Map<number, number[]>} */
  #ticks = new Map();
  #lastAddress = -1;

  constructor(text, count) {
    this.text = text;
    this.count = count;
    for (const { 0: run, index } of [...text.matchAll(/`+/gu)].reverse()) {
      if (!this.#ticks.has(run.length)) this.#ticks.set(run.length, []);
      this.#ticks.get(run.length).push(index);
    }
    let from = 0;
    const signs = new RegExp(SIGN);
    for (let match = signs.exec(text); match; match = signs.exec(text)) {
      count.steps += 1;
      this.#add(text.slice(from, match.index));
      from = this.#take(match[0], match.index);
      signs.lastIndex = from;
    }
    this.#add(text.slice(from));
  }

  #add(text) {
    if (text !== '') this.tokens.push(text);
  }

  /** @returns {number} where the text goes on */
  #take(sign, at) {
    const after = at + sign.length;
    if (sign[0] === '`') return this.#takeCode(sign, at);
    if (sign === '[') this.#opens(sign);
    else if (sign === '](') return this.#takeTarget(at);
    else if (sign[0] === '\n') this.#forget(sign);
    else if (/\w/u.test(sign) && sign[0] !== '_') return this.#takeAddress(at);
    else this.#takeMarks(sign, this.text[at - 1] ?? ' ', this.text[after] ?? ' ');
    return after;
  }

  #takeCode(sign, at) {
    const places = this.#ticks.get(sign.length);
    while (places.at(-1) <= at) places.pop();
    const end = places.at(-1);
    if (end === undefined) {
      this.#add(sign);
      return at + sign.length;
    }
    const code = this.text.slice(at + sign.length, end);
    const padded = code.startsWith(' ') && code.endsWith(' ') && code.trim() !== '';
    this.tokens.push({ leaf: { type: 'code', text: padded ? code.slice(1, -1) : code } });
    return end + sign.length;
  }

  #takeAddress(at) {
    ADDRESS.lastIndex = at;
    const found = ADDRESS.exec(this.text)[0];
    const address = trimAddress(found);
    this.count.steps += found.length;
    const href = safeAddress(address);
    if (href) {
      this.#lastAddress = this.tokens.length;
      this.tokens.push({ leaf: { type: 'link', href, children: [address] } });
    } else this.#add(found);
    return at + (href ? address : found).length;
  }

  /** `](address)`; a link whose text is itself an address could lie about where it leads, so it is none. */
  #takeTarget(at) {
    TARGET.lastIndex = at;
    const target = TARGET.exec(this.text);
    this.count.steps += target?.[0].length ?? 0;
    const href = target && safeAddress(target[1]);
    const said = this.tokens.at(-1)?.sign !== '[';
    if (href && said && this.#closes('[', target[0], this.#lastAddress)) {
      this.tokens.at(-1).closes.href = href;
      return at + target[0].length;
    }
    this.#add('](');
    return at + 2;
  }

  #takeMarks(sign, before, after) {
    const word = sign[0] === '_' ? /[\p{L}\p{N}_\\]/u : /[a-z0-9\\]/iu;
    const opens = /\S/u.test(after) && !word.test(before);
    const closes = /\S/u.test(before) && !word.test(after);
    for (const mark of marksOf(sign, this.#open.at(-1)?.sign)) {
      if (closes && this.#closes(mark, mark)) continue;
      if (opens && mark in TYPES) this.#opens(mark);
      else this.#add(mark);
    }
  }

  #opens(sign) {
    const token = { sign, place: this.tokens.length };
    this.#open.push(token);
    this.#waiting[sign] = (this.#waiting[sign] ?? 0) + 1;
    this.tokens.push(token);
  }

  /**
   * Closes the innermost sign of its kind; what was opened within it and not closed is not a sign.
   * @param {string} mark @param {string} sign as it stands in the text @param {number} [after] where the opener must not stand before
   */
  #closes(mark, sign, after = -1) {
    if (!this.#waiting[mark]) return false;
    for (;;) {
      const opener = this.#open.pop();
      this.count.steps += 1;
      this.#waiting[opener.sign] -= 1;
      if (opener.sign !== mark) continue;
      if (opener.place < after) return false;
      opener.type = TYPES[mark];
      this.tokens.push({ sign, closes: opener });
      return true;
    }
  }

  /** No sign reaches over an empty line. */
  #forget(text) {
    this.#open = [];
    this.#waiting = {};
    this.#add(text);
  }
}
