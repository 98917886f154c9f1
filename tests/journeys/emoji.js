/** A few emoji as the server's `emoji.json` has them. */
export const EMOJI = {
  names: ['Smileys & Emotion', 'People & Body', 'Animals & Nature'],
  codes: 'grinning.smile.joy.partying face.heart.+1,thumbsup.-1,thumbsdown.wave.pray.cat.dog.crab.sunflower',
  signs: '😀 😄 😂 🥳 ❤️|👍 👎 👋 🙏|🐱 🐶 🦀 🌻',
};

/** Gives somebody's pages these names. @param {import('./person.js').Person} person */
export function serveEmoji(person) {
  return person.context.route('**/ui/emoji.json', (route) => route.fulfill({ json: EMOJI }));
}
