/**
 * What people mean by the signs in a text: a tree of blocks. Every pass goes over the text once and nesting is bounded, so
 * the work grows with the length whatever the text; what is nested too deep, unfinished or not known stays as it was written.
 *
 * @typedef {string | {type: 'strong' | 'em' | 'del', children: Inline[]} | {type: 'code', text: string}
 *   | {type: 'link', href: string, bare?: boolean, children: Inline[]} | {type: 'mention', name: string, children: string[]}} Inline
 *   a `bare` link is an address that stands in the text; a `mention` is made by `readText` only
 * @typedef {{type: 'paragraph', children: Inline[]} | {type: 'fence', language: string, text: string}
 *   | {type: 'quote', children: Block[]}
 *   | {type: 'list', start: ?number, numbers: number[], items: Block[][]}} Block
 */

import { withEmoji } from './emoji.js';
import { addressAt, safeAddress } from './links.js';

/** The deepest nesting, of blocks and of signs within a line. */
const MAX_DEPTH = 8;

/** A longer text is shown as it is. */
const MAX_CHARS = 20_000;

const FENCE = /^```([^`]*)$/u;
const LANGUAGE = /^[\w+#.,-]{1,20}$/u;
const QUOTE = /^> \s*\S/u;
const FENCE_END = /^```\s*$/u;
const ITEM = /^(?!(?:[-*+] *){3,}$)(?:[-*+]|(\d{1,3})[.)]) +(?=\S)/u;
const INDENTED = /^(?: {2}|\t)\s*\S/u;
const BLANK = /^\s*$/u;

const SIGN = /`+|\*+|_+|~~|\[|\]\(|\n\s*\n|https?:\/\/|mailto:/giu;
const TARGET = /\]\(([^\s()<>"]*(?:\([^\s()<>"]*\)[^\s()<>"]*)*)\)/uy;

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

/**
 * A tree with its words read: every text that is neither code nor an address becomes what `read` makes of it.
 * @param {any[]} nodes @param {(words: string) => Inline[]} read @returns {any[]}
 */
export function mapWords(nodes, read) {
  return nodes.flatMap((node) => {
    if (typeof node === 'string') return read(node);
    if (node.bare) return node;
    if (node.items) return { ...node, items: node.items.map((item) => mapWords(item, read)) };
    return node.children ? { ...node, children: mapWords(node.children, read) } : node;
  });
}

/** A text without its signs, each block and item beneath the other. @param {string} text */
export function plainText(text) {
  return plain(
    mapWords(parseMarkdown(text), (words) => [withEmoji(words)]),
    '\n',
  );
}

/** Whether a text ends within code that has yet to be closed. @param {string} text */
export function endsInFence(text) {
  return text.split('\n').reduce((open, line) => (open ? !FENCE_END.test(line) : FENCE.test(line)), false);
}

/** What a message says in one line, without signs: the first of its text, or the names of its files. @param {{text: string, attachments: {name: string}[]}} message */
export function firstLine({ text, attachments }) {
  const lines = plainText(text).split('\n');
  return lines.find((line) => line.trim() !== '') ?? attachments.map(({ name }) => name).join(', ');
}

function plain(nodes, between) {
  return nodes.map((node) => (typeof node === 'string' ? node : (node.text ?? plainNode(node)))).join(between);
}

function plainNode({ type, children, items, numbers }) {
  if (!items) return plain(children, type === 'quote' ? '\n' : '');
  return items.map((item, at) => `${numbers.length > 0 ? `${numbers[at]}.` : '•'} ${plain(item, '\n')}`).join('\n');
}

function parseBlocks(lines, depth, count) {
  const blocks = [];
  let plain = [];
  let fences = depth < MAX_DEPTH;
  const flush = () => {
    const text = plain
      .join('\n')
      .replace(/^(?:[^\S\n]*\n)+/u, '')
      .trimEnd();
    if (text !== '') blocks.push({ type: 'paragraph', children: parseInline(text, count) });
    plain = [];
  };
  for (let at = 0; at < lines.length; ) {
    const line = lines[at];
    count.steps += 1;
    let end = at;
    /** @type {?Block} */
    let block = null;
    if (fences && FENCE.test(line)) {
      end = lines.findIndex((other, place) => place > at && FENCE_END.test(other)) + 1;
      // What is not found from here is not found from further down.
      fences = end > 0;
      if (fences) block = fenceOf(lines[at].slice(3).trim(), lines.slice(at + 1, end - 1));
    } else if (depth < MAX_DEPTH && QUOTE.test(line)) {
      while (end < lines.length && (lines[end].startsWith('> ') || lines[end] === '>')) end += 1;
      block = {
        type: 'quote',
        children: parseBlocks(
          lines.slice(at, end).map((quoted) => quoted.slice(2)),
          depth + 1,
          count,
        ),
      };
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

/** What stands beside the opening sign is a language if it looks like one and code follows; else it is code. @returns {Block} */
function fenceOf(beside, lines) {
  const language = lines.length > 0 && LANGUAGE.test(beside) ? beside : '';
  return { type: 'fence', language, text: [...(beside === language ? [] : [beside]), ...lines].join('\n') };
}

function parseList(lines, from, depth, count) {
  const number = ITEM.exec(lines[from])?.[1];
  const numbers = [];
  const items = [];
  // A space before its mark makes no item a part of the one above.
  const begins = (line) => {
    const item = ITEM.exec(line.replace(/^ (?=\S)/u, ''));
    return item !== null && (item[1] === undefined) === (number === undefined) ? item : null;
  };
  /** How far the lines of the last item are indented, by the first of them. */
  let width = 0;
  let at = from;
  for (; at < lines.length; at += 1) {
    const line = lines[at];
    const item = begins(line);
    if (item) {
      items.push([line.trimStart().slice(item[0].length)]);
      if (number !== undefined) numbers.push(Number(item[1]));
      width = 0;
    } else if (INDENTED.test(line)) {
      width ||= columnsOf(line);
      items.at(-1).push(outdented(line, width));
    } else {
      let next = at;
      while (next < lines.length && BLANK.test(lines[next])) next += 1;
      const goesOn = next < lines.length && next > at && (INDENTED.test(lines[next]) || begins(lines[next]));
      if (!goesOn) break;
      // Code keeps its empty lines.
      if (!begins(lines[next])) items.at(-1).push(...lines.slice(at, next).fill(''));
      at = next - 1;
    }
  }
  const start = number === undefined ? null : Number(number);
  return [{ type: 'list', start, numbers, items: items.map((item) => parseBlocks(item, depth + 1, count)) }, at];
}

/** A tab is as wide as four spaces. */
function columnsOf(line) {
  return line.replaceAll('\t', '    ').search(/\S/u);
}

function outdented(line, width) {
  let at = 0;
  for (let left = width; left > 0 && /[ \t]/u.test(line[at] ?? ''); at += 1) left -= line[at] === '\t' ? 4 : 1;
  return line.slice(at);
}

/** @returns {Inline[]} */
function parseInline(text, count) {
  return build(new Tokens(text, count).tokens, count);
}

/** Nests what the signs hold. @param {any[]} tokens @param {{steps: number}} count */
function build(tokens, count) {
  const root = [];
  /** @type {any[]} */
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
  /** @type {any[]} strings, `{leaf}`, and `{sign, place?, type?, href?, closes?}` */
  tokens = [];
  /** Signs that may be closed, innermost last. */
  #open = [];
  /** Those of each kind, so that nothing is sought in vain. @type {Record<string, any[]>} */
  #waiting = {};
  /** Where the last space between signs is. */
  #space = -1;
  /** Where runs of backticks stand, by their length, the last first. @type {Map<number, any>} */
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
      const before = text.slice(from, match.index);
      const space = before.search(/\s\S*$/u);
      if (space >= 0) this.#space = from + space;
      this.#add(before);
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
    if (sign === '[') this.#opens(sign, after, false);
    else if (sign === '](') return this.#takeTarget(at);
    else if (sign[0] === '\n') this.#forget(sign);
    else if (/\w/u.test(sign) && sign[0] !== '_') return this.#takeAddress(at);
    else this.#takeMarks(sign, at);
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
    const { address, length } = addressAt(this.text, at);
    this.count.steps += length;
    const href = safeAddress(address);
    if (href) {
      this.#lastAddress = this.tokens.length;
      this.tokens.push({ leaf: { type: 'link', href, bare: true, children: [address] } });
      return at + address.length;
    }
    this.#add(this.text.slice(at, at + length));
    return at + length;
  }

  /** `](address)`; a link whose text is itself an address could lie about where it leads, so it is none. */
  #takeTarget(at) {
    TARGET.lastIndex = at;
    const target = TARGET.exec(this.text);
    this.count.steps += target?.[0].length ?? 0;
    const href = target && safeAddress(target[1]);
    const said = this.tokens.at(-1)?.sign !== '[';
    if (href && said && this.#closes('[', target[0], { after: this.#lastAddress })) {
      this.tokens.at(-1).closes.href = href;
      return at + target[0].length;
    }
    this.#add('](');
    return at + 2;
  }

  /** A mark within a word counts only if no space stands between the two, so that `2*3 and a*b` is left alone. */
  #takeMarks(sign, at) {
    const end = at + sign.length;
    const before = this.text[at - 1] ?? ' ';
    const after = this.text[end] ?? ' ';
    const never = sign[0] === '_' ? /[\p{L}\p{N}_\\]/u : /[0-9\\]/u;
    const inWord = (char) => /[a-z]/iu.test(char);
    const opens = /\S/u.test(after) && !never.test(before);
    const closes = /\S/u.test(before) && !never.test(after);
    for (const mark of marksOf(sign, this.#open.at(-1)?.sign)) {
      if (closes && this.#closes(mark, mark, { tight: mark === '*' && inWord(after) })) continue;
      if (opens && mark in TYPES && !(mark === '*' && inWord(before))) this.#opens(mark, end, inWord(before));
      else this.#add(mark);
    }
  }

  /** @param {string} sign @param {number} end @param {boolean} tight whether no space may stand before its end */
  #opens(sign, end, tight) {
    const token = { sign, place: this.tokens.length, end, tight };
    this.#open.push(token);
    (this.#waiting[sign] ??= []).push(token);
    this.tokens.push(token);
  }

  /**
   * Closes the innermost sign of its kind; what was opened within it and not closed is not a sign.
   * @param {string} mark @param {string} sign as it stands in the text
   * @param {{after?: number, tight?: boolean}} where `after`: the opener must not stand before; `tight`: no space between
   */
  #closes(mark, sign, { after = -1, tight = false }) {
    const wanted = this.#waiting[mark]?.at(-1);
    if (!wanted || ((tight || wanted.tight) && wanted.end <= this.#space)) return false;
    for (;;) {
      const opener = this.#open.pop();
      this.count.steps += 1;
      this.#waiting[opener.sign].pop();
      if (opener !== wanted) continue;
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
