/** Writing into a text field as its user would: what is written can be undone, and is told as input. */

/**
 * Whether a key belongs to an input method. 229 is what browsers report for one, some of them after the composition ended.
 * @param {{isComposing?: boolean, keyCode?: number}} event
 */
export function isComposed({ isComposing, keyCode }) {
  return isComposing === true || keyCode === 229;
}

/** Writes a text in place of a part of a field. @param {HTMLTextAreaElement} field @param {string} text @param {number} [from] @param {number} [to] */
export function writeInto(field, text, from = field.selectionStart, to = field.selectionEnd) {
  field.focus();
  field.setSelectionRange(from, to);
  // The one way that keeps the field's own undo; deprecated, but without a successor.
  if (document.execCommand(text === '' ? 'delete' : 'insertText', false, text)) return;
  field.setRangeText(text, from, to, 'end');
  field.dispatchEvent(new Event('input', { bubbles: true }));
}

/** Puts a sign around the selection, or takes it away. @param {HTMLTextAreaElement} field @param {string} sign */
export function toggleSign(field, sign) {
  const { selectionStart: from, selectionEnd: to, value } = field;
  const width = sign.length;
  const around = value.slice(from - width, from) === sign && value.slice(to, to + width) === sign;
  const chosen = value.slice(from, to);
  if (around) writeInto(field, chosen, from - width, to + width);
  else writeInto(field, sign + chosen + sign, from, to);
  const start = around ? from - width : from + width;
  field.setSelectionRange(start, start + chosen.length);
}
