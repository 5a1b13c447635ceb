/** A film that Chromium shows instead of a camera: parts that come, lie still, and go. */
import { writeFileSync } from 'node:fs';

export const filmSize = { width: 160, height: 120 } as const;
const framesPerSecond = 10;

/** A grey frame with a bright part whose left side lies at `x`. */
function frame(x: number | undefined): Buffer {
  const { width, height } = filmSize;
  const luma = Buffer.alloc(width * height, 90);
  if (x !== undefined)
    for (let y = 40; y < 80; y++)
      luma.fill(210, y * width + Math.max(0, x), y * width + Math.min(width, x + 40));
  // Both colours at half size: none.
  return Buffer.concat([Buffer.from('FRAME\n'), luma, Buffer.alloc((width * height) / 2, 128)]);
}

/** Writes the film as YUV4MPEG2: two seconds of the empty place, a part comes, lies two seconds, goes. */
export function writeFilm(path: string): void {
  const { width, height } = filmSize;
  const rest = 2 * framesPerSecond;
  const places = [
    ...Array(rest).fill(undefined),
    ...[-20, 10, 40],
    ...Array(rest).fill(60),
    ...[90, 120, 150],
  ] as (number | undefined)[];
  const head = `YUV4MPEG2 W${width} H${height} F${framesPerSecond}:1 Ip A1:1 C420jpeg\n`;
  writeFileSync(path, Buffer.concat([Buffer.from(head), ...places.map(frame)]));
}
