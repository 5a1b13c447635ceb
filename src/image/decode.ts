/**
 * Image files as 8-bit RGB or grey, by one rule in Node and in browsers: the values that Pillow gives
 * (`ImageOps.exif_transpose`, then `convert`). No profile or gamma changes a value, alpha is left out, EXIF
 * rotation is applied. docs/formats.md lists what differs.
 */

import { InvalidImageError, MissingPackageError } from '../base/errors.ts';
import { decodeBmp, isBmp, readBmp } from './bmp.ts';
import { upright } from './exif.ts';
import type { Image, ImageFacts } from './image.ts';
import { isJpeg, type JpegColours, readJpeg } from './jpeg_segments.ts';
import { isPng, readPng } from './png.ts';
import { type Header, luma, type Stored, smallestOfSixteen } from './stored.ts';
import { decodeTiff, needsCodec, readTiff } from './tiff.ts';
import { isTiff } from './tiff_directory.ts';
import { isWebp, readWebp } from './webp_chunks.ts';

/** Decodes a file to stored values: not rotated, not converted. Alpha is kept where `alpha` is true. */
export type Codec = (bytes: Uint8Array, header: Header, alpha: boolean) => Promise<Stored>;

/** What a platform decodes by its own means. */
export interface Codecs {
  readonly png: Codec;
  readonly jpeg: (bytes: Uint8Array, header: Header, colours: JpegColours) => Promise<Stored>;
  readonly webp: Codec;
  /** TIFF files for which `needsCodec` is true. */
  readonly tiff: Codec;
}

interface File {
  readonly header: Header;
  readonly decode: (alpha: boolean) => Promise<Stored>;
}

/** What the file is, by its first bytes and its header. Nothing is decoded yet. */
function openFile(bytes: Uint8Array, codecs: Codecs): File {
  if (bytes.length === 0) throw new Error('the file is empty');
  if (isPng(bytes)) {
    const { header } = readPng(bytes);
    return { header, decode: (alpha) => codecs.png(bytes, header, alpha) };
  }
  if (isJpeg(bytes)) {
    const { header, colours } = readJpeg(bytes);
    return { header, decode: () => codecs.jpeg(bytes, header, colours) };
  }
  if (isWebp(bytes)) {
    const header = readWebp(bytes);
    return { header, decode: (alpha) => codecs.webp(bytes, header, alpha) };
  }
  if (isTiff(bytes)) {
    const { header, layout } = readTiff(bytes);
    const decode = async (alpha: boolean) =>
      needsCodec(layout) ? codecs.tiff(bytes, header, alpha) : decodeTiff(bytes, header, layout, alpha);
    return { header, decode };
  }
  if (isBmp(bytes)) {
    const { header, layout } = readBmp(bytes);
    return { header, decode: async () => decodeBmp(bytes, header, layout) };
  }
  throw new Error('it is no PNG, JPEG, BMP, WebP or TIFF file');
}

/** Errors of decoding name the file. */
async function naming<T>(path: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof MissingPackageError) throw error;
    // A read behind the end of the data is a RangeError of the platform. Its text does not help a user.
    const outside = error instanceof RangeError;
    const reason = outside
      ? 'the file is truncated, or its header points outside of it'
      : (error as Error).message;
    throw new InvalidImageError(`${path}: cannot be read as an image (${reason})`, { cause: error });
  }
}

async function decodeFile({ header, decode }: File, alpha: boolean): Promise<Stored> {
  const stored = await decode(alpha);
  const { width, height, channels, data } = stored;
  if (width !== header.width || height !== header.height || data.length !== width * height * channels)
    throw new Error(`its header says ${header.width}x${header.height} pixels, it holds ${width}x${height}`);
  return stored;
}

/**
 * 16 bits become their upper 8. Masks whose values all fit into 8 bits are taken as they are.
 *
 * @returns with the smallest and the largest of 16-bit values
 * @throws Error where a photograph uses 12 bits or fewer: how bright they are meant is not known
 */
function toEightBits(
  data: Stored['data'],
  mask: boolean,
): { eight: Uint8Array; range?: readonly [number, number] } {
  if (data instanceof Uint8Array) return { eight: data };
  let [low, high] = [0xffff, 0];
  for (const value of data) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const range = [low, high] as const;
  if (mask && high < 256) return { eight: Uint8Array.from(data), range };
  if (high > 0 && high < smallestOfSixteen)
    throw new Error(
      `16 bits per channel, but values ${low} to ${high}: 10 or 12 bits in 16 would come out nearly ` +
        'black. Multiply all images by the same factor (16 for 12 bits, 64 for 10, 256 for 8), or save 8 ' +
        'bits',
    );
  const eight = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) eight[i] = (data[i] as number) >> 8;
  return { eight, range };
}

function withChannels(data: Uint8Array, stored: 1 | 3, channels: 1 | 3): Uint8Array {
  if (stored === channels) return data;
  const count = data.length / stored;
  const result = new Uint8Array(count * channels);
  if (channels === 1)
    for (let i = 0; i < count; i++)
      result[i] = luma(data[3 * i] as number, data[3 * i + 1] as number, data[3 * i + 2] as number);
  else
    for (let i = 0, at = 0; i < count; i++) {
      const grey = data[i] as number;
      result[at++] = grey;
      result[at++] = grey;
      result[at++] = grey;
    }
  return result;
}

/**
 * Decodes an image file to 8-bit RGB, or to grey with Pillow's weights.
 *
 * @throws Error naming the file and what is wrong with it
 */
export function readImage(
  bytes: Uint8Array,
  path: string,
  channels: 1 | 3,
  codecs: Codecs,
): Promise<{ image: Image; facts: ImageFacts }> {
  return naming(path, async () => {
    const file = openFile(bytes, codecs);
    const { depth, format, channels: inFile, orientation } = file.header;
    const stored = await decodeFile(file, false);
    const { eight, range } = toEightBits(stored.data, channels === 1);
    // Alpha was not asked for.
    const data = withChannels(eight, stored.channels as 1 | 3, channels);
    const image = upright(
      { width: stored.width, height: stored.height, channels, data },
      orientation,
    ) as Image;
    const { width, height } = image;
    return { image, facts: { width, height, channels: inFile, depth, format, ...(range ? { range } : {}) } };
  });
}

/**
 * Decodes a mask file with all its channels as stored. Alpha and 16 bits are kept, because the defect may be
 * drawn in them.
 *
 * @throws Error naming the file and what is wrong with it
 */
export function readMask(bytes: Uint8Array, path: string, codecs: Codecs): Promise<Stored> {
  return naming(path, async () => {
    const file = openFile(bytes, codecs);
    return upright(await decodeFile(file, true), file.header.orientation);
  });
}

/**
 * Width and height of an image file after EXIF rotation, from its header.
 *
 * @throws Error naming the file
 */
export function readSize(
  bytes: Uint8Array,
  path: string,
  codecs: Codecs,
): Promise<{ width: number; height: number }> {
  return naming(path, () => {
    const { width, height, orientation } = openFile(bytes, codecs).header;
    return orientation > 4 ? { width: height, height: width } : { width, height };
  });
}
