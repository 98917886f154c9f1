import { isComposed } from './field.js';
import { pageStorage } from '../core/storage.js';

/** The keys, in the order in which the help shows them. Those with an `act` are the shell's; the others are told only. */

const MAC = /Mac|iP/u.test(globalThis.navigator?.platform ?? '');
const SIGNS = MAC ? { Mod: '⌘', Alt: '⌥', Shift: '⇧' } : { Mod: 'Ctrl' };
const NAMES = { '↑': 'ArrowUp', '↓': 'ArrowDown', Esc: 'Escape' };

/** @typedef {'switch' | 'previous' | 'next' | 'previousUnread' | 'nextUnread' | 'search' | 'help' | 'read' | 'readAll' | 'paneAfter' | 'paneBefore'} Act */
/** @typedef {{keys: string[][], label: string, act?: Act}} Shortcut `keys`: ways to press it, the key after those that are held */

/** @type {{title: string, shortcuts: Shortcut[]}[]} */
export const SHORTCUTS = [
  {
    title: 'Getting around',
    shortcuts: [
      { keys: [['Mod', 'K']], label: 'Go to a channel or a person', act: 'switch' },
      { keys: [['Alt', '↑']], label: 'Previous channel', act: 'previous' },
      { keys: [['Alt', '↓']], label: 'Next channel', act: 'next' },
      { keys: [['Alt', 'Shift', '↑']], label: 'Previous unread channel', act: 'previousUnread' },
      { keys: [['Alt', 'Shift', '↓']], label: 'Next unread channel', act: 'nextUnread' },
      { keys: [['Esc']], label: 'Mark the channel as read', act: 'read' },
      { keys: [['Shift', 'Esc']], label: 'Mark all channels as read', act: 'readAll' },
      { keys: [['F6']], label: 'Next pane: messages, field, search, channels', act: 'paneAfter' },
      { keys: [['Shift', 'F6']], label: 'Previous pane', act: 'paneBefore' },
      { keys: [['Mod', 'Shift', 'F'], ['/']], label: 'Search', act: 'search' },
      { keys: [['Mod', '/'], ['?']], label: 'This help', act: 'help' },
      { keys: [['Esc']], label: 'Close what is open' },
    ],
  },
  {
    title: 'Writing',
    shortcuts: [
      { keys: [['Enter'], ['Mod', 'Enter']], label: 'Send' },
      { keys: [['Shift', 'Enter']], label: 'New line; in open code Enter makes one too' },
      { keys: [['↑']], label: 'Edit your last message, from an empty field' },
      { keys: [['@']], label: 'Mention somebody' },
      { keys: [[':']], label: 'Emoji' },
    ],
  },
];

/** As it stands on this machine's keys. @param {string} key */
export function keyName(key) {
  return SIGNS[key] ?? key;
}

const SINGLE_KEYS = 'chatcore.single-keys';

/** What was chosen on this page, which a browser that keeps nothing forgets with it. @type {?boolean} */
let chosenSingle = null;

/** Whether a sign alone is a shortcut. People who dictate, or press keys unawares, turn it off. */
export function hasSingleKeys() {
  return chosenSingle ?? pageStorage()?.getItem(SINGLE_KEYS) !== 'off';
}

/** @param {boolean} on */
export function turnSingleKeys(on) {
  chosenSingle = on;
  try {
    pageStorage()?.setItem(SINGLE_KEYS, on ? 'on' : 'off');
  } catch {
    // A full storage: it holds as long as the page.
  }
}

/** What a key press asks the shell for. @param {KeyboardEvent} event @returns {Act | undefined} */
export function actOf(event) {
  if (isComposed(event)) return undefined;
  const all = SHORTCUTS.flatMap(({ shortcuts }) => shortcuts);
  return all.find(({ act, keys }) => act && keys.some((held) => isPressed(held, event)))?.act;
}

function isPressed(keys, event) {
  const key = /** @type {string} */ (keys.at(-1));
  const mod = MAC ? event.metaKey : event.ctrlKey;
  const other = MAC ? event.ctrlKey : event.metaKey;
  // Where a sign is on the keyboard, and whether with Shift, depends on the country.
  const shift = /[/?]/u.test(key) || event.shiftKey === keys.includes('Shift');
  if (mod !== keys.includes('Mod') || other || event.altKey !== keys.includes('Alt') || !shift) return false;
  if (keys.length === 1 && key.length === 1 && (!hasSingleKeys() || isWriting(event.target))) return false;
  return event.key.toLowerCase() === (NAMES[key] ?? key).toLowerCase();
}

/** @param {any} element */
function isWriting(element) {
  return element?.isContentEditable || /^(?:INPUT|TEXTAREA|SELECT)$/u.test(element?.tagName ?? '');
}
