/** The scripts that set no spaces between words, as a part of a class of a pattern. */
export const UNSPACED = String.raw`\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}`;

/** A sign that another word must not touch: a letter or a digit, of a script that sets spaces. */
export const WORD = String.raw`(?![${UNSPACED}])[\p{L}\p{N}\p{M}_]`;
