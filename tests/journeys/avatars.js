/**
 * Has the server's frames to somebody's pages name pictures of people, as they do in an app whose people have some.
 * @param {import('./person.js').Person} person
 * @param {Record<string, string>} avatars URLs by the names of people
 */
export function withAvatars(person, avatars) {
  const named = (value, isLog) => {
    if (Array.isArray(value)) return value.map((one) => named(one, isLog));
    if (value === null || typeof value !== 'object') return value;
    const all = Object.fromEntries(Object.entries(value).map(([key, one]) => [key, named(one, isLog)]));
    const avatar = typeof all.id === 'string' && avatars[all.name];
    return avatar && !isLog ? { ...all, avatar } : all;
  };
  return person.context.routeWebSocket(/\/chat\/ws$/u, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((frame) => {
      const { type, ...fields } = JSON.parse(String(frame));
      // The log and what is said of who is online have no pictures.
      const isLog = 'seq' in fields || 'epoch' in fields || 'messages' in fields || type === 'presence';
      socket.send(JSON.stringify({ type, ...named(fields, isLog) }));
    });
  });
}

/** A drawn face as a PNG. @param {import('playwright-core').Page} page @param {number} [hue] */
export async function facePng(page, hue = 200) {
  const base64 = await page.evaluate((angle) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 96, height: 128 });
    const pen = canvas.getContext('2d');
    const disc = (x, y, radius, color) => {
      pen.fillStyle = color;
      pen.beginPath();
      pen.arc(x, y, radius, 0, 2 * Math.PI);
      pen.fill();
    };
    pen.fillStyle = `hsl(${angle} 50% 75%)`;
    pen.fillRect(0, 0, 96, 128);
    disc(48, 128, 40, `hsl(${angle} 45% 40%)`);
    disc(48, 60, 26, `hsl(${(angle + 180) % 360} 45% 70%)`);
    for (const x of [39, 57]) disc(x, 56, 3, '#222222');
    return canvas.toDataURL('image/png').split(',')[1];
  }, hue);
  return Buffer.from(base64, 'base64');
}
