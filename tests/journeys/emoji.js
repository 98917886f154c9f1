/** A few emoji as the server's `emoji.json` has them. */
export const EMOJI = {
  groups: [
    { name: 'Smileys & Emotion', signs: '😀 😄 😂 🥳 ❤️', codes: 'grinning,smile,joy,partying_face,heart' },
    { name: 'People & Body', signs: '👍 👎 👋 🙏', codes: '+1 thumbsup,-1 thumbsdown,wave,pray' },
    { name: 'Animals & Nature', signs: '🐱 🐶 🦀 🌻', codes: 'cat,dog,crab,sunflower' },
  ],
};

/** Gives somebody's pages these names. @param {import('./person.js').Person} person */
export function serveEmoji(person) {
  return person.context.route('**/ui/emoji.json', (route) => route.fulfill({ json: EMOJI }));
}
