/** Large image files in Node: their sizes, and their rows band by band, so that they need not fit into memory. */
import { stat } from 'node:fs/promises';
import sharp from 'sharp';
import type { Image } from '../data/image.ts';
import { resizeBilinear } from '../data/resize.ts';
import { bandsOf, type ImageBands } from '../data/tiles.ts';
import { decodeImage } from './node_images.ts';
import { needRegularFile, readBytes } from './node_read.ts';

/** Images of more pixels are not decoded as a whole: sharp's own limit, 16383 x 16383. */
export const wholeImagePixels = 0x3fff ** 2;

// Values as they are stored, of images of any size.
const unlimited = { limitInputPixels: false, ignoreIcc: true } as const;

/** Bytes of pixels that are decoded at once of a large image: its file is read anew from the top for each of them. */
const stripBytes = 128 * 2 ** 20;
const mostStripBytes = 2 ** 30;

interface FileFacts {
  /** Size as stored. */
  readonly width: number;
  readonly height: number;
  /** EXIF's orientation, 1 to 8. */
  readonly orientation: number;
  readonly deep: boolean;
  readonly grey: boolean;
}

/** What the header says; undefined for what is not of sharp's formats (a bitmap) or no image: decoding tells. */
async function factsOf(path: string): Promise<FileFacts | undefined> {
  await needRegularFile(path);
  try {
    const { width, height, orientation = 1, depth, channels } = await sharp(path, unlimited).metadata();
    return { width, height, orientation, deep: depth === 'ushort', grey: channels < 3 };
  } catch {
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
  if (width * height > wholeImagePixels)
    throw new Error(
      `${path}: ${width}x${height} pixels are more than the ${wholeImagePixels} that are decoded as a whole; ` +
        'a model with tiles (aand train --tile) reads such images in parts',
    );
  return 3 * width * height;
}

/** Where the rows [y, y + height) of the upright image lie in the file. */
function regionOf({ width: w, height: h, orientation }: FileFacts, y: number, height: number) {
  if (orientation > 4) return { left: orientation > 6 ? w - y - height : y, top: 0, width: height, height: h };
  return { left: 0, top: orientation > 2 ? h - y - height : y, width: w, height };
}

/** Turned upright: {@link regionOf}'s pixels as rows of the upright image. */
function turn(image: Image, orientation: number): Image {
  if (orientation === 1) return image;
  const { width: w, height: h, channels, data } = image;
  const [width, height] = orientation > 4 ? [h, w] : [w, h];
  const turned = new Uint8Array(data.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [a, b] = orientation > 4 ? [y, x] : [x, y];
      const sx = [2, 3, 7, 8].includes(orientation) ? w - 1 - a : a;
      const sy = [3, 4, 6, 7].includes(orientation) ? h - 1 - b : b;
      for (let c = 0; c < channels; c++)
        turned[(y * width + x) * channels + c] = data[(sy * w + sx) * channels + c] as number;
    }
  return { width, height, channels, data: turned };
}

/** 8-bit RGB of stored values: grey three times, alpha left out, the upper 8 of 16 bits. */
function toRgb(data: Buffer, width: number, height: number, channels: number, deep: boolean): Image {
  const values = deep ? new Uint16Array(new Uint8Array(data).buffer) : data;
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++)
    for (let c = 0; c < 3; c++) {
      const value = values[i * channels + (channels < 3 ? 0 : c)] as number;
      rgb[i * 3 + c] = deep ? value >> 8 : value;
    }
  return { width, height, channels: 3, data: rgb };
}

async function decodeRegion(path: string, facts: FileFacts, y: number, rows: number): Promise<Image> {
  const region = regionOf(facts, y, rows);
  try {
    const space = facts.grey ? (facts.deep ? 'grey16' : 'b-w') : facts.deep ? 'rgb16' : 'srgb';
    const { data, info } = await sharp(path, { ...unlimited, failOn: 'error' })
      .extract(region)
      .toColourspace(space)
      .raw({ depth: facts.deep ? 'ushort' : 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return turn(toRgb(data, info.width, info.height, info.channels, facts.deep), facts.orientation);
  } catch (error) {
    throw new Error(`${path}: cannot be read as an image (${(error as Error).message})`);
  }
}

/**
 * Opens an image file of any size for reading from top to bottom. Images up to {@link wholeImagePixels} are decoded as a whole.
 *
 * @param whole pixels that are decoded at once
 * @throws Error naming the file
 */
export async function openBands(path: string, whole = wholeImagePixels, bytes = stripBytes): Promise<ImageBands> {
  const facts = await factsOf(path);
  if (!facts || facts.width * facts.height <= whole) return bandsOf(await decodeImage(await readBytes(path), path));
  const [width, height] = facts.orientation > 4 ? [facts.height, facts.width] : [facts.width, facts.height];
  let strip: Image | undefined;
  let top = 0;
  return {
    width,
    height,
    async rows(y, count) {
      if (!strip || y < top || y + count > top + strip.height) {
        const wanted = Math.max(count, Math.floor(bytes / (width * 3)));
        if (count * width * 3 > mostStripBytes)
          throw new Error(`${path}: ${width}x${height} pixels are too wide: one row of tiles takes more than 1 GiB`);
        strip = undefined;
        strip = await decodeRegion(path, facts, y, Math.min(wanted, height - y));
        top = y;
      }
      return bandsOf(strip).rows(y - top, count);
    },
  };
}

/** A small picture of an image file of any size, `side` x `side` pixels. */
export async function overview(path: string, side: number): Promise<Image> {
  const facts = await factsOf(path);
  if (!facts || facts.width * facts.height <= wholeImagePixels)
    return resizeBilinear(await decodeImage(await readBytes(path), path), side, side);
  const { data, info } = await sharp(path, unlimited)
    .rotate()
    .resize(side, side, { fit: 'fill' })
    .removeAlpha()
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return toRgb(data, info.width, info.height, info.channels, false);
}
