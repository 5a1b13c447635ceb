/** Random views of photographs: what a camera might have seen, for teachers that learn from teachers. */

import type { RandomStream } from '../base/random.ts';
import type { Image } from '../image/image.ts';
import { resizeBicubic } from '../image/resize.ts';

// A view shows at least this many pixels of its photograph along each side.
const leastSide = 8;

function crop({ data, width, height }: Image, side: { width: number; height: number }, x: number, y: number) {
  const cut = new Uint8Array(side.width * side.height * 3);
  const row = side.width * 3;
  for (let line = 0; line < side.height; line++) {
    const from = ((y + line) * width + x) * 3;
    cut.set(data.subarray(from, from + row), line * row);
  }
  const image: Image = { ...side, channels: 3, data: cut };
  return side.width === width && side.height === height ? { ...image, data } : image;
}

/**
 * A random view of a photograph: a crop of 25 to 100 % of its area, resized without aliasing as a detector's
 * images are, every fifth one blurred, mirrored and turned, with other brightness, contrast and saturation;
 * three of ten are grey, as many pictures of products are.
 *
 * @param image RGB
 * @returns [size, size], RGB
 */
export function randomView(image: Image, size: number, random: RandomStream): Image {
  const share = Math.sqrt(random.uniform(0.25, 1));
  const aspect = 2 ** random.uniform(-0.4, 0.4);
  const side = (whole: number, part: number) =>
    Math.max(Math.min(leastSide, whole), Math.min(whole, Math.round(whole * share * part)));
  const width = side(image.width, Math.sqrt(aspect));
  const height = side(image.height, 1 / Math.sqrt(aspect));
  const x = random.integer(0, image.width - width);
  const y = random.integer(0, image.height - height);
  const blurred = random.next() < 0.2 ? Math.round(size * random.uniform(0.4, 0.8)) : size;
  const cut = resizeBicubic(crop(image, { width, height }, x, y), blurred, blurred);
  const { data: seen } = blurred === size ? cut : resizeBicubic(cut, size, size);
  const horizontal = random.next() < 0.5;
  const vertical = random.next() < 0.25;
  const transpose = random.next() < 0.25;
  const brightness = random.uniform(-50, 50);
  const contrast = 2 ** random.uniform(-1.2, 0.5);
  const saturation = random.next() < 0.3 ? 0 : random.uniform(0.5, 1.5);
  const data = new Uint8Array(seen.length);
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      const [a, b] = transpose ? [column, row] : [row, column];
      const from = ((vertical ? size - 1 - a : a) * size + (horizontal ? size - 1 - b : b)) * 3;
      const red = seen[from] as number;
      const green = seen[from + 1] as number;
      const blue = seen[from + 2] as number;
      const grey = 0.299 * red + 0.587 * green + 0.114 * blue;
      const to = (row * size + column) * 3;
      for (let c = 0; c < 3; c++) {
        const coloured = grey + saturation * ((seen[from + c] as number) - grey);
        data[to + c] = Math.min(255, Math.max(0, Math.round((coloured - 128) * contrast + 128 + brightness)));
      }
    }
  return { width: size, height: size, channels: 3, data };
}

/** `share` of one image and the rest of another of its size, laid over each other. */
export function blend(one: Image, other: Image, share: number): Image {
  const data = new Uint8Array(one.data.length);
  for (let i = 0; i < data.length; i++)
    data[i] = Math.round(share * (one.data[i] as number) + (1 - share) * (other.data[i] as number));
  return { ...one, data };
}
