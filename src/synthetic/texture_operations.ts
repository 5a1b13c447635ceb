/** The ten texture operations of the synthetic anomalies (method, 3.10), on 8-bit RGB. */

import type { RandomStream } from '../base/random.ts';
import type { Image } from '../image/image.ts';
import { brightnessSpaces, type ColourSpace, clip8, hsv } from './colour.ts';

type Operation = (image: Image, random: RandomStream) => Image;

function withData(image: Image, data: Uint8Array): Image {
  return { ...image, data };
}

/** Applies one table to all channels, or a table per channel. */
function lookUp(image: Image, tables: readonly Uint8Array[]): Image {
  return withData(
    image,
    image.data.map((value, i) => (tables[i % tables.length] as Uint8Array)[value] as number),
  );
}

function table(f: (value: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, v) => f(v));
}

function mapPixels(image: Image, f: (r: number, g: number, b: number) => readonly number[]): Image {
  const data = new Uint8Array(image.data.length);
  for (let i = 0; i < data.length; i += 3)
    data.set(f(image.data[i] as number, image.data[i + 1] as number, image.data[i + 2] as number), i);
  return withData(image, data);
}

const gamma: Operation = (image, random) =>
  lookUp(
    image,
    [0, 1, 2].map(() => {
      const exponent = random.uniform(0.5, 2);
      return table((v) => Math.floor(255 * (v / 255) ** exponent));
    }),
  );

const brightness: Operation = (image, random) => {
  const space = brightnessSpaces[random.integer(0, brightnessSpaces.length - 1)] as ColourSpace;
  const factor = random.uniform(0.8, 1.2);
  const offset = random.integer(-30, 30);
  const multiplyFirst = random.next() < 0.5;
  const change = table((v) =>
    multiplyFirst ? clip8(clip8(v * factor) + offset) : clip8(clip8(v + offset) * factor),
  );
  return mapPixels(image, (r, g, b) => {
    const channels = space.from(r, g, b);
    channels[space.brightness] = change[channels[space.brightness]] as number;
    return space.to(...channels);
  });
};

const sharpness: Operation = (image, random) => {
  const factor = random.uniform(0, 2);
  const { width, height } = image;
  const data = new Uint8Array(image.data);
  for (let y = 1; y < height - 1; y++)
    for (let x = 1; x < width - 1; x++)
      for (let c = 0; c < 3; c++) {
        const at = (dy: number, dx: number) => image.data[((y + dy) * width + x + dx) * 3 + c] as number;
        const around =
          at(-1, -1) + at(-1, 0) + at(-1, 1) + at(0, -1) + at(0, 1) + at(1, -1) + at(1, 0) + at(1, 1);
        const smooth = clip8((around + 5 * at(0, 0)) / 13);
        data[(y * width + x) * 3 + c] = clip8(factor * at(0, 0) + (1 - factor) * smooth);
      }
  return withData(image, data);
};

const hueAndSaturation: Operation = (image, random) => {
  const hue = Math.trunc((random.integer(-50, 50) / 255) * 180);
  const saturation = random.integer(-50, 50);
  return mapPixels(image, (r, g, b) => {
    const [h, s, v] = hsv.from(r, g, b);
    return hsv.to((h + hue + 180) % 180, clip8(s + saturation), v);
  });
};

const solarize: Operation = (image, random) => {
  const apply = random.next() < 0.5;
  const threshold = Math.trunc(random.uniform(32, 128));
  return apply ? lookUp(image, [table((v) => (v >= threshold ? 255 - v : v))]) : image;
};

const posterize: Operation = (image, random) => {
  const bits = random.integer(1, 8);
  const mask = 0xff & ~((1 << (8 - bits)) - 1);
  return lookUp(image, [table((v) => v & mask)]);
};

const invert: Operation = (image) => lookUp(image, [table((v) => 255 - v)]);

function histogram(image: Image, channel: number): Uint32Array {
  const counts = new Uint32Array(256);
  for (let i = channel; i < image.data.length; i += 3) {
    const value = image.data[i] as number;
    counts[value] = (counts[value] as number) + 1;
  }
  return counts;
}

/** Drops `cut` pixels from one end of a histogram, as Pillow does. */
function trim(counts: Uint32Array, cut: number, order: (i: number) => number): void {
  let left = cut;
  for (let i = 0; i < 256 && left > 0; i++) {
    const bin = order(i);
    const taken = Math.min(left, counts[bin] as number);
    counts[bin] = (counts[bin] as number) - taken;
    left -= taken;
  }
}

const autocontrast: Operation = (image, random) => {
  const cutoff = random.integer(0, 20);
  const pixels = image.width * image.height;
  return lookUp(
    image,
    [0, 1, 2].map((c) => {
      const counts = histogram(image, c);
      const cut = Math.floor((pixels * cutoff) / 100);
      trim(counts, cut, (i) => i);
      trim(counts, cut, (i) => 255 - i);
      const low = counts.findIndex((count) => count > 0);
      const high = counts.findLastIndex((count) => count > 0);
      if (high <= low) return table((v) => v);
      const scale = 255 / (high - low);
      return table((v) => Math.min(255, Math.max(0, Math.trunc(v * scale - low * scale))));
    }),
  );
};

const equalize: Operation = (image) =>
  lookUp(
    image,
    [0, 1, 2].map((c) => {
      const counts = histogram(image, c);
      const last = counts.findLastIndex((count) => count > 0);
      const step = Math.floor((image.width * image.height - (counts[last] as number)) / 255);
      if (step === 0) return table((v) => v);
      let before = step >> 1;
      return table((v) => {
        const value = Math.floor(before / step);
        before += counts[v] as number;
        return Math.min(255, value);
      });
    }),
  );

const rotate: Operation = (image, random) => {
  const degrees = random.uniform(-45, 45);
  const { width, height } = image;
  const data = new Uint8Array(image.data.length);
  forRotated(width, height, degrees, (x, y, sx, sy) => {
    for (let c = 0; c < 3; c++)
      data[(y * width + x) * 3 + c] = clip8(bilinear(image.data, width, height, 3, c, sx, sy));
  });
  return withData(image, data);
};

/** Calls back with every target pixel and where it comes from in an image rotated about its centre. */
export function forRotated(
  width: number,
  height: number,
  degrees: number,
  visit: (x: number, y: number, sourceX: number, sourceY: number) => void,
): void {
  const cos = Math.cos((degrees * Math.PI) / 180);
  const sin = Math.sin((degrees * Math.PI) / 180);
  const cx = (width - 1) / 2;
  const cy = (height - 1) / 2;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      visit(x, y, cos * (x - cx) + sin * (y - cy) + cx, -sin * (x - cx) + cos * (y - cy) + cy);
}

/** Bilinear value of one channel, zero outside of the image. */
export function bilinear(
  data: ArrayLike<number>,
  width: number,
  height: number,
  channels: number,
  channel: number,
  x: number,
  y: number,
): number {
  const x0 = Math.floor(x);
  const y0 = Math.floor(y);
  const fx = x - x0;
  const fy = y - y0;
  const at = (row: number, column: number) =>
    row < 0 || column < 0 || row >= height || column >= width
      ? 0
      : (data[(row * width + column) * channels + channel] as number);
  return (
    (at(y0, x0) * (1 - fx) + at(y0, x0 + 1) * fx) * (1 - fy) +
    (at(y0 + 1, x0) * (1 - fx) + at(y0 + 1, x0 + 1) * fx) * fy
  );
}

/** The operations by name, in the order a to j of the method. */
export const textureOperations = {
  gamma,
  brightness,
  sharpness,
  hueAndSaturation,
  solarize,
  posterize,
  invert,
  autocontrast,
  equalize,
  rotate,
} as const satisfies Record<string, Operation>;

/** Three different operations in a random order. */
export function augmentTexture(image: Image, random: RandomStream): Image {
  const operations = Object.values(textureOperations);
  let result = image;
  for (const index of random.sample(operations.length, 3))
    result = (operations[index] as Operation)(result, random);
  return result;
}
