/**
 * Large image files in Node: their sizes, and their rows band by band, so that they need not fit into memory.
 */

import { stat } from 'node:fs/promises';
import { InvalidImageError, MissingPackageError } from '../../base/errors.ts';
import { rangeOf } from '../../base/lists.ts';
import { bandsOf, type ImageBands } from '../../image/bands.ts';
import { decodingBudget } from '../../image/decoding_budget.ts';
import { upright } from '../../image/exif.ts';
import type { Image } from '../../image/image.ts';
import { resizeBilinear } from '../../image/resize.ts';
import { pixelLimit, smallestOfSixteen } from '../../image/stored.ts';
import { decodeImage, imageSize } from './images.ts';
import { needRegularFile, readBytes } from './read.ts';
import { sharp } from './sharp.ts';

// Options of sharp: values as they are stored, of images of any size.
const unlimited = { limitInputPixels: false, ignoreIcc: true } as const;

/**
 * Bytes of pixels that are decoded at once of a large image. For each such strip the file is read anew from
 * its top.
 */
const stripBytes = 128 * 2 ** 20;
const mostStripBytes = 2 ** 30;

interface FileFacts {
  /** Size as stored. */
  readonly width: number;
  readonly height: number;
  /** EXIF's orientation, 1 to 8. */
  readonly orientation: number;
  readonly grey: boolean;
  /** 16 bits per channel. */
  readonly deep: boolean;
  /** Why its rows cannot be read in parts; undefined where they can. */
  readonly obstacle: string | undefined;
}

const formats = ['png', 'jpeg', 'webp', 'tiff'];

/**
 * What the header says. Undefined for bitmaps, which sharp does not read, and for files that are no images:
 * the decoder names those.
 */
async function factsOf(path: string): Promise<FileFacts | undefined> {
  await needRegularFile(path);
  try {
    const {
      width,
      height,
      orientation = 1,
      depth,
      channels,
      space,
      format,
    } = await sharp(path, unlimited).metadata();
    if (!formats.includes(format)) return undefined;
    const obstacle =
      space === 'cmyk'
        ? 'its colours are CMYK'
        : ['uchar', 'ushort'].includes(depth)
          ? undefined
          : `its values are ${depth}`;
    return { width, height, orientation, grey: channels < 3, deep: depth === 'ushort', obstacle };
  } catch (error) {
    if (error instanceof MissingPackageError) throw error;
    return undefined;
  }
}

/**
 * Bytes that an image file takes when it is decoded to RGB as a whole.
 *
 * @throws Error naming a file that cannot be read, or that is too large for that
 */
export async function decodedBytes(path: string): Promise<number> {
  const facts = await factsOf(path);
  // A bitmap's pixels take a byte each or more.
  if (!facts) return 3 * (await stat(path)).size;
  const { width, height } = facts;
  if (width * height > pixelLimit)
    throw new Error(
      `${path}: ${width}x${height} pixels are more than the ${pixelLimit} that are decoded as a whole; ` +
        'a model with tiles (aand train --tile) reads such images in parts',
    );
  return 3 * width * height;
}

function uprightSize({ width, height, orientation }: FileFacts) {
  return orientation > 4 ? { width: height, height: width } : { width, height };
}

/**
 * Width and height of an image file of any size after EXIF rotation, from its header.
 *
 * @throws Error naming the file
 */
export async function imageFileSize(
  path: string,
): Promise<{ readonly width: number; readonly height: number }> {
  const facts = await factsOf(path);
  return facts ? uprightSize(facts) : imageSize(await readBytes(path), path);
}

/** Where the rows [y, y + height) of the upright image lie in the file. */
function regionOf({ width: w, height: h, orientation }: FileFacts, y: number, height: number) {
  if (orientation > 4)
    return { left: orientation > 6 ? w - y - height : y, top: 0, width: height, height: h };
  return { left: 0, top: orientation > 2 ? h - y - height : y, width: w, height };
}

/** 8-bit RGB of stored values: grey three times, alpha left out, the upper 8 of 16 bits. */
function toRgb(data: Uint8Array | Uint16Array, width: number, height: number, channels: number): Image {
  const shift = data instanceof Uint16Array ? 8 : 0;
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++)
    for (let c = 0; c < 3; c++)
      rgb[i * 3 + c] = (data[i * channels + (channels < 3 ? 0 : c)] as number) >> shift;
  return { width, height, channels: 3, data: rgb };
}

/** Rows of the upright image, and the largest stored value. */
async function decodeRegion(
  path: string,
  facts: FileFacts,
  y: number,
  rows: number,
): Promise<{ image: Image; top: number }> {
  const { deep, grey, orientation } = facts;
  try {
    const { data, info } = await sharp(path, { ...unlimited, failOn: 'error' })
      .extract(regionOf(facts, y, rows))
      .toColourspace(grey ? (deep ? 'grey16' : 'b-w') : deep ? 'rgb16' : 'srgb')
      .raw({ depth: deep ? 'ushort' : 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const values = deep ? new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2) : data;
    const stored = toRgb(values, info.width, info.height, info.channels);
    return { image: upright(stored, orientation) as Image, top: deep ? rangeOf(values).max : 0xffff };
  } catch (error) {
    if (error instanceof MissingPackageError) throw error;
    throw new InvalidImageError(`${path}: cannot be read as an image (${(error as Error).message})`, {
      cause: error,
    });
  }
}

/**
 * Opens an image file of any size for reading from top to bottom. Images up to {@link pixelLimit} are decoded
 * as a whole.
 *
 * @param whole pixels that are decoded at once
 * @throws Error naming the file
 */
export async function openBands(path: string, whole = pixelLimit, bytes = stripBytes): Promise<ImageBands> {
  const facts = await factsOf(path);
  if (!facts || facts.width * facts.height <= whole)
    return bandsOf(await decodeImage(await readBytes(path), path));
  const { width, height } = uprightSize(facts);
  if (facts.obstacle)
    throw new Error(
      `${path}: ${width}x${height} pixels can only be read in parts, but ${facts.obstacle}: save it as ` +
        '8-bit RGB',
    );
  let strip: Image | undefined;
  let first = 0;
  let largest = 0;
  return {
    width,
    height,
    async rows(y, count) {
      if (!strip || y < first || y + count > first + strip.height) {
        if (count * width * 3 > mostStripBytes)
          throw new Error(
            `${path}: ${width}x${height} pixels are too wide: one row of tiles takes more than 1 GiB`,
          );
        const wanted = Math.min(height - y, Math.max(count, Math.floor(bytes / (width * 3))));
        strip = undefined;
        const { image, top } = await decodeRegion(path, facts, y, wanted);
        [strip, first, largest] = [image, y, Math.max(largest, top)];
        if (y + wanted === height && largest > 0 && largest < smallestOfSixteen)
          throw new Error(
            `${path}: 16 bits per channel, but no value is above ${largest}: 10 or 12 bits in 16 would ` +
              'come out nearly black. Multiply all images by the same factor, or save 8 bits',
          );
      }
      return bandsOf(strip).rows(y - first, count);
    },
  };
}

/** A small picture of an image file of any size, `side` x `side` pixels. */
export async function overview(path: string, side: number): Promise<Image> {
  const facts = await factsOf(path);
  if (!facts || facts.width * facts.height <= pixelLimit)
    return decodingBudget.run(await decodedBytes(path), async () =>
      resizeBilinear(await decodeImage(await readBytes(path), path), side, side),
    );
  const { data, info } = await sharp(path, unlimited)
    .rotate()
    .resize(side, side, { fit: 'fill' })
    .removeAlpha()
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return toRgb(data, info.width, info.height, info.channels);
}
