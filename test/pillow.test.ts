/**
 * Resizing equals Pillow's to the last bit: vectors made by Pillow itself
 * (test/support/make_pillow_vectors.py).
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import type { Image } from '../src/image/image.ts';
import { resizeBicubic, resizeNearest } from '../src/image/resize.ts';

type Vector = readonly [
  width: number,
  height: number,
  channels: 1 | 3,
  side: number,
  bicubic: string,
  nearest: string,
];

const { pillow, vectors } = JSON.parse(readFileSync(resolve('test/fixtures/pillow.json'), 'utf8')) as {
  pillow: string;
  vectors: Vector[];
};

function mix(x: number): number {
  let z = x >>> 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad) >>> 0;
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97) >>> 0;
  return (z ^ (z >>> 15)) >>> 0;
}

function source(index: number, [width, height, channels]: Vector): Image {
  const start = Math.imul(index, 2654435761) >>> 0;
  const data = Uint8Array.from(
    { length: width * height * channels },
    (_, p) => mix((start + p) >>> 0) >>> 24,
  );
  return { width, height, channels, data: index % 2 ? data.map((v) => (v > 127 ? 255 : 0)) : data };
}

const digest = ({ data }: Image) => createHash('sha256').update(data).digest('hex');

test(`${vectors.length} images from 1x1 to 2048x1500, grey and RGB: 0 bytes differ from Pillow ${pillow}`, () => {
  const wrong = vectors.flatMap((vector, i) => {
    const [width, height, channels, side, bicubic, nearest] = vector;
    const image = source(i, vector);
    const name = `${width}x${height}x${channels} to ${side}`;
    return [
      ...(digest(resizeBicubic(image, side, side)) === bicubic ? [] : [`bicubic ${name}`]),
      ...(digest(resizeNearest(image, side, side)) === nearest ? [] : [`nearest ${name}`]),
    ];
  });
  expect(wrong).toEqual([]);
});
