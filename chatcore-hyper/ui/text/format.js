/** Times and sizes as the viewer writes them: their language, their time zone. */

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const DAY_AND_YEAR = new Intl.DateTimeFormat(undefined, {
  weekday: 'long',
  day: 'numeric',
  month: 'long',
  year: 'numeric',
});
const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });
const NUMBER = new Intl.NumberFormat();

/** @param {Date} date */
export function clockTime(date) {
  return Number.isNaN(date.getTime()) ? '' : CLOCK.format(date);
}

/** @param {Date} date */
export function fullTime(date) {
  return Number.isNaN(date.getTime()) ? '' : FULL.format(date);
}

/** One string for each calendar day of the viewer. @param {Date} date */
export function dayKey(date) {
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}

/** "Today", "Yesterday" or the date. @param {Date} date @param {Date} now */
export function dayName(date, now) {
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  if (dayKey(date) === dayKey(now)) return capital(RELATIVE.format(0, 'day'));
  if (dayKey(date) === dayKey(yesterday)) return capital(RELATIVE.format(-1, 'day'));
  return (date.getFullYear() === now.getFullYear() ? DAY : DAY_AND_YEAR).format(date);
}

/** @param {number} bytes */
export function fileSize(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const units = ['KB', 'MB', 'GB'];
  let size = bytes / 1024;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size < 10 ? Math.round(size * 10) / 10 : Math.round(size)} ${units[unit]}`;
}

/** @param {number} count @param {string} one @param {string} [many] */
export function counted(count, one, many = `${one}s`) {
  return `${NUMBER.format(count)} ${count === 1 ? one : many}`;
}

/** @param {number} count */
export function number(count) {
  return NUMBER.format(count);
}

/** "12", or "99+" for more than the bound. @param {number} count @param {number} most */
export function bounded(count, most) {
  return count > most ? `${most}+` : number(count);
}

/** "Ann is typing", "Ann and Bob are typing", "Ann and 2 others are typing". @param {string[]} names */
export function typingText(names) {
  if (names.length === 0) return '';
  if (names.length === 1) return `${names[0]} is typing…`;
  const rest = names.length === 2 ? names[1] : `${names.length - 1} others`;
  return `${names[0]} and ${rest} are typing…`;
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}

/** How long to wait, in words and rounded up: "5 seconds", "3 minutes", "2 hours". @param {number} ms */
export function waitInWords(ms) {
  const seconds = Math.max(Math.ceil((ms || 0) / 1000), 1);
  const [count, unit] =
    seconds < 120
      ? [seconds, 'second']
      : seconds < 7200
        ? [Math.ceil(seconds / 60), 'minute']
        : [Math.ceil(seconds / 3600), 'hour'];
  return `${NUMBER.format(count)} ${unit}${count === 1 ? '' : 's'}`;
}
