import { BASE } from '../base.js';
import { WORD } from './words.js';

/**
 * The names of emoji, fetched when the first is asked for.
 * @typedef {{sign: string, codes: string[]}} Emoji
 * @typedef {{groups: {name: string, emoji: Emoji[]}[], byCode: Map<string, string>}} EmojiNames
 */

/** Codes as people type them, not within a word or a path: `10:30:45`, `crate::key::Key` and `/:key:/` hold none. */
const CODES = new RegExp(`(?<!${WORD}|:|${WORD}/)(?::[a-z0-9_+-]{1,40}:)+(?!${WORD}|:)`, 'gu');

const CODE = /:([^:]+):/gu;

/** One sign, with what gives it a skin, a colour or a region. */
const SIGN_OF_EMOJI = String.raw`[\p{ExtPict}\p{EMod}](?:\p{EMod}|\uFE0F|[\u{E0020}-\u{E007E}]+\u{E007F})?`;

/**
 * A text that is nothing but a few emoji: flags, keys, and signs joined to one. By how they are made, since a pattern with
 * `\p{RGI_Emoji}` lists thousands, and to compile it takes longer than a frame.
 */
const ONLY_EMOJI = new RegExp(
  String.raw`^\s*(?:(?:\p{RI}{2}|[0-9#*]\uFE0F\u20E3|${SIGN_OF_EMOJI}(?:\u200D${SIGN_OF_EMOJI})*)\s*){1,10}$`,
  'u',
);

/** No text of ten emoji is longer, the widest families included. */
const ONLY_EMOJI_CHARS = 200;

/** @type {?Promise<EmojiNames>} */
let loading = null;
/** @type {?EmojiNames} */
let loaded = null;

/** @param {() => Promise<any>} [fetchNames] @returns {Promise<EmojiNames>} */
export function loadEmoji(fetchNames = fetchFile) {
  loading ??= fetchNames().then(
    (file) => (loaded = readNames(file)),
    (error) => {
      // Asked again, it may work.
      loading = null;
      throw error;
    },
  );
  return loading;
}

async function fetchFile() {
  const answer = await fetch(new URL('emoji.json', BASE));
  if (!answer.ok) throw new Error(`emoji.json: ${answer.status}`);
  return answer.json();
}

/** @param {{names: string[], codes: string, signs: string}} file `signs` of a group are before a `|` @returns {EmojiNames} */
export function readNames({ names, codes, signs }) {
  const named = codes.replaceAll(' ', '_').split('.');
  const groups = names.map((name, at) => {
    const drawn = signs.split('|')[at].split(' ');
    return { name, emoji: drawn.map((sign) => ({ sign, codes: (named.shift() ?? '').split(',') })) };
  });
  const all = groups.flatMap(({ emoji }) => emoji);
  return { groups, byCode: new Map(all.flatMap(({ sign, codes }) => codes.map((code) => [code, sign]))) };
}

/** Whether a text may hold a code, and the names are not there yet. @param {string} text */
export function wantsEmoji(text) {
  return !loaded && text.search(CODES) >= 0;
}

/** Writes the emoji for the codes that are known. @param {string} text */
export function withEmoji(text) {
  const { byCode } = loaded ?? {};
  return byCode
    ? text.replace(CODES, (codes) => codes.replace(CODE, (whole, code) => byCode.get(code) ?? whole))
    : text;
}

/** @param {string} text */
export function isOnlyEmoji(text) {
  return text.length <= ONLY_EMOJI_CHARS && ONLY_EMOJI.test(text);
}

/**
 * The emoji that a search finds: codes that begin so first, then those that hold it.
 * @param {EmojiNames} names
 * @param {string} wanted
 * @param {number} most
 * @returns {(Emoji & {code: string})[]}
 */
export function findEmoji({ groups }, wanted, most) {
  const text = wanted.toLowerCase().replace(/[\s-]+/gu, '_');
  const begin = [];
  const hold = [];
  for (const emoji of groups.flatMap((group) => group.emoji)) {
    const code = emoji.codes.find((one) => one.startsWith(text));
    const other = code ?? emoji.codes.find((one) => one.includes(text));
    if (other) (code ? begin : hold).push({ ...emoji, code: other });
  }
  const exact = (one) => Number(one.code !== text);
  return [...begin.sort((one, other) => exact(one) - exact(other)), ...hold].slice(0, most);
}
