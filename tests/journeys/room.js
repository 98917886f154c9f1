/** A room of the page, as its owner sees it. */
export function roomOf(person, channel) {
  const room = person.page.locator(`chat-room[channel="${channel}"]`);
  const field = room.getByRole('textbox', { name: `Message #${channel}` });
  return {
    room,
    field,
    texts: () => room.locator('article .text').allTextContents(),
    message: (text) => room.getByRole('log').locator('article').filter({ hasText: text }),
    say: async (text) => {
      await field.fill(text);
      await field.press('Enter');
      await room.locator('article').filter({ hasText: text }).waitFor();
    },
    style: (selector, names) =>
      room.evaluate(
        (host, [inside, wanted]) => {
          const style = getComputedStyle(host.shadowRoot.querySelector(inside));
          return Object.fromEntries(wanted.map((name) => [name, style.getPropertyValue(name)]));
        },
        [selector, names],
      ),
  };
}

/** Goes to the page of a foreign site that has two rooms, and waits for both. */
export async function visitShop(person) {
  await person.visit('/embed.html');
  for (const channel of ['general', 'greenhouse']) await roomOf(person, channel).field.waitFor();
}
