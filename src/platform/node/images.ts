/**
 * Images in Node: sharp, and the decoders of `src/image`. Decoder threads load this file, so it loads no GPU.
 */
import type { Sharp } from 'sharp';
import { type Codecs, readImage, readMask, readSize } from '../../image/decode.ts';
import type { ImageFacts } from '../../image/image.ts';
import { checkImage, type Image, type ImageInput } from '../../image/image.ts';
import type { JpegColours } from '../../image/jpeg_segments.ts';
import { cmykToRgb, type Header, type Stored } from '../../image/stored.ts';
import { sharp } from './sharp.ts';

/** Values as they are stored: no profile is followed, nothing is rotated. */
function reader(bytes: Uint8Array): Sharp {
  return sharp(bytes, { failOn: 'error', ignoreIcc: true });
}

/** Stored values of what sharp reads, grey or RGB as the file is. */
async function decodeWithSharp(
  bytes: Uint8Array,
  { depth, channels }: Header,
  alpha: boolean,
): Promise<Stored> {
  const grey = channels < 3;
  const deep = depth === 16;
  const space = deep ? (grey ? 'grey16' : 'rgb16') : grey ? 'b-w' : 'srgb';
  const { data, info } = await (alpha ? reader(bytes) : reader(bytes).removeAlpha())
    .toColourspace(space)
    .raw({ depth: deep ? 'ushort' : 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const { buffer, byteOffset, byteLength } = data;
  // These colour spaces give 1 to 4 channels.
  const count = info.channels as Stored['channels'];
  const values = deep
    ? new Uint16Array(buffer, byteOffset, byteLength / 2)
    : new Uint8Array(buffer, byteOffset, byteLength);
  return { width, height, channels: count, data: values };
}

async function decodeJpeg(bytes: Uint8Array, header: Header, colours: JpegColours): Promise<Stored> {
  if (colours !== 'cmyk' && colours !== 'ycck') return decodeWithSharp(bytes, header, false);
  const { data, info } = await reader(bytes)
    .pipelineColourspace('cmyk')
    .toColourspace('cmyk')
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, channels: 3, data: cmykToRgb(data) };
}

const codecs: Codecs = {
  png: decodeWithSharp,
  jpeg: decodeJpeg,
  webp: decodeWithSharp,
  tiff: decodeWithSharp,
};

/**
 * Decodes an image file (PNG, JPEG, BMP, WebP, TIFF) to 8-bit RGB, or grey where asked: the values that
 * Pillow gives. EXIF rotation is applied, profiles are not, alpha is left out, 16 bits are cut to the upper
 * 8, CMYK becomes RGB without a profile.
 *
 * @throws Error naming the file
 */
export async function decodeImage(bytes: Uint8Array, path: string, channels: 1 | 3 = 3): Promise<Image> {
  return (await readImage(bytes, path, channels, codecs)).image;
}

/**
 * Decodes a mask file with all its channels as stored. Alpha and 16 bits are kept, because the defect may be
 * drawn in them.
 *
 * @throws Error naming the file
 */
export function decodeMask(bytes: Uint8Array, path: string): Promise<Stored> {
  return readMask(bytes, path, codecs);
}

/** Width and height of an image file after EXIF rotation, from its header. */
export function imageSize(
  bytes: Uint8Array,
  path: string,
): Promise<{ readonly width: number; readonly height: number }> {
  return readSize(bytes, path, codecs);
}

/** What an image file is. It is decoded once, so that one that cannot be decoded is an error. */
export async function inspectImage(bytes: Uint8Array, path: string): Promise<ImageFacts> {
  return (await readImage(bytes, path, 3, codecs)).facts;
}

/** Encodes 8-bit pixels as PNG. */
export async function encodePng(image: ImageInput): Promise<Uint8Array> {
  const { width, height, channels, data } = checkImage(image, 'the image', [1, 3]);
  return sharp(data, { raw: { width, height, channels } }).png().toBuffer();
}

/** Encodes 8-bit pixels small enough to lie in a page. */
export async function encodeWebp({ width, height, channels, data }: Image): Promise<Uint8Array> {
  return sharp(data, { raw: { width, height, channels } }).webp({ quality: 88 }).toBuffer();
}
