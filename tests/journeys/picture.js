/** Draws an evening over hills, as a file to attach. @param {import('./person.js').Person} person whose page draws it */
export async function picture(person) {
  const bytes = await person.page.evaluate(async () => {
    const [width, height] = [840, 480];
    const canvas = new OffscreenCanvas(width, height);
    const paint = canvas.getContext('2d');
    // Few colours, so that a picture of it stays small.
    const bands = ['#2b3f5c', '#4d5878', '#7f6f8b', '#b98a8f', '#e3a98b', '#f3c99a'];
    bands.forEach((colour, at) => {
      paint.fillStyle = colour;
      paint.fillRect(0, at * 56, width, height);
    });
    paint.fillStyle = '#fff1d0';
    paint.beginPath();
    paint.arc(590, 286, 54, 0, 7);
    paint.fill();
    const hills = [
      ['#8a6a72', 300, 34, 150],
      ['#5b5468', 350, 44, 210],
      ['#33405a', 405, 30, 120],
    ];
    for (const [colour, level, rise, length] of hills) {
      paint.fillStyle = colour;
      paint.beginPath();
      paint.moveTo(0, height);
      for (let x = 0; x <= width; x += 4)
        paint.lineTo(x, level + rise * Math.sin(x / length + level) + (rise / 3) * Math.sin(x / 47 + level));
      paint.lineTo(width, height);
      paint.fill();
    }
    return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
  });
  return { name: 'evening.png', mimeType: 'image/png', buffer: Buffer.from(bytes) };
}
