/** Drawing into 8-bit RGB images: canvas, paste, outlines. */
import type { Image } from '../image/image.ts';

export type Colour = readonly [number, number, number];

const background: Colour = [24, 26, 30];
export const ink: Colour = [235, 235, 235];

export function canvas(width: number, height: number): Image {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = background[i % 3] as number;
  return { width, height, channels: 3, data };
}

export function paste(target: Image, source: Image, x: number, y: number): void {
  for (let row = 0; row < source.height; row++)
    target.data.set(
      source.data.subarray(row * source.width * 3, (row + 1) * source.width * 3),
      ((y + row) * target.width + x) * 3,
    );
}

/** Draws the outline of a mask (already at the image's size) into an image. */
export function outline(image: Image, mask: Image, colour: Colour): void {
  const { width, height } = image;
  const on = (x: number, y: number) =>
    x >= 0 && y >= 0 && x < width && y < height && (mask.data[(y * width + x) * 3] as number) > 0;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (on(x, y) && !(on(x - 1, y) && on(x + 1, y) && on(x, y - 1) && on(x, y + 1)))
        image.data.set(colour, (y * width + x) * 3);
}
