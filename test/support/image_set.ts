/** The set of image files of every kind and what Pillow makes of them (test/support/make_image_set.py). */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { unzlibSync } from 'fflate';
import type { Image } from '../../src/image/image.ts';

export const imageFolder = resolve('test/fixtures/images');

/** One file: expected values, or what the error says; `rule` tells why the values are not Pillow's. */
export interface ImageCase {
  readonly file: string;
  readonly kind: string;
  readonly rule?: string;
  readonly refused?: string;
  /** What browsers say, which refuse the file. */
  readonly browsers?: string;
  readonly expected?: { readonly rgb: Image; readonly grey: Image };
}

interface Entry extends Omit<ImageCase, 'expected'> {
  readonly width?: number;
  readonly height?: number;
}

/** All files with their expected values. */
export function imageSet(): { pillow: string; cases: ImageCase[] } {
  const { pillow, files } = JSON.parse(readFileSync(resolve('test/fixtures/images.json'), 'utf8')) as {
    pillow: string;
    files: Entry[];
  };
  const values = unzlibSync(readFileSync(resolve('test/fixtures/images.bin')));
  let at = 0;
  const cases = files.map(({ width, height, ...entry }): ImageCase => {
    if (width === undefined || height === undefined) return entry;
    const take = (channels: 1 | 3): Image => {
      const start = at;
      at += width * height * channels;
      return { width, height, channels, data: values.subarray(start, at) };
    };
    return { ...entry, expected: { rgb: take(3), grey: take(1) } };
  });
  return { pillow, cases };
}

export function imageBytes(file: string): Uint8Array {
  return new Uint8Array(readFileSync(join(imageFolder, file)));
}

/** How a decoded image differs from what is expected; the whole image where the sizes differ. */
export function difference(expected: Image, found: Image): { bytes: number; largest: number; first: number } {
  const result = { bytes: 0, largest: 0, first: -1 };
  if (
    expected.width !== found.width ||
    expected.height !== found.height ||
    expected.channels !== found.channels
  )
    return { bytes: expected.data.length, largest: 255, first: 0 };
  expected.data.forEach((value, i) => {
    const distance = Math.abs(value - (found.data[i] as number));
    if (distance === 0) return;
    if (result.bytes++ === 0) result.first = i;
    result.largest = Math.max(result.largest, distance);
  });
  return result;
}
