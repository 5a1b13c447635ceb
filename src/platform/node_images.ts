/** Images in Node (sharp; bitmaps by bmp-ts); apart from `node.ts` so that decoder threads load no GPU. */
import { decode as decodeBmp } from 'bmp-ts';
import type { Sharp } from 'sharp';
import type { Image } from '../data/image.ts';
import type { ImageFacts } from '../data/inspect.ts';
import type { MaskPixels } from '../data/mask_pixels.ts';
import { sharp } from './sharp.ts';

/** 8-bit RGB of a Windows bitmap, which sharp does not read. */
function decodeBitmap(bytes: Uint8Array): { width: number; height: number; data: Uint8Array } {
  const { width, height, data } = decodeBmp(Buffer.from(bytes), { toRGBA: true });
  if (!(width > 0 && height > 0 && data.length >= width * height * 4)) throw new Error('the bitmap is truncated');
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) for (let c = 0; c < 3; c++) rgb[i * 3 + c] = data[i * 4 + c] as number;
  return { width, height, data: rgb };
}

function isBitmap(bytes: Uint8Array): boolean {
  return bytes[0] === 0x42 && bytes[1] === 0x4d;
}

function reader(bytes: Uint8Array): Sharp {
  if (!isBitmap(bytes)) return sharp(bytes, { failOn: 'error' });
  const { width, height, data } = decodeBitmap(bytes);
  return sharp(data, { raw: { width, height, channels: 3 } });
}

/**
 * Decodes an image file to 8-bit RGB, or grey where asked: EXIF rotation applied, the alpha channel dropped (as Pillow does),
 * 16 bits cut to the upper 8, CMYK converted to sRGB.
 *
 * @throws Error naming the file
 */
export async function decodeImage(bytes: Uint8Array, path: string, channels: 1 | 3 = 3): Promise<Image> {
  try {
    // Masks are copied value by value; photographs are converted to sRGB.
    const decoder = reader(bytes).rotate().removeAlpha();
    const { data, info } = await decoder
      .toColourspace(channels === 3 ? 'srgb' : 'b-w')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const pixels = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    if (info.channels === channels) return { width: info.width, height: info.height, channels, data: pixels };
    const count = info.width * info.height;
    const converted = new Uint8Array(count * channels);
    for (let i = 0; i < count; i++)
      for (let c = 0; c < channels; c++)
        converted[i * channels + c] = pixels[i * info.channels + Math.min(c, info.channels - 1)] as number;
    return { width: info.width, height: info.height, channels, data: converted };
  } catch (error) {
    throw new Error(`${path}: cannot be read as an image (${(error as Error).message})`);
  }
}

/**
 * Decodes a mask file with all its channels as stored: alpha and 16 bits are kept, for they may be what tells the defect.
 *
 * @throws Error naming the file
 */
export async function decodeMask(bytes: Uint8Array, path: string): Promise<MaskPixels> {
  if (isBitmap(bytes)) return decodeImage(bytes, path);
  try {
    const { channels, depth, hasAlpha } = await sharp(bytes).metadata();
    const deep = depth === 'ushort';
    if (!deep && !hasAlpha) return decodeImage(bytes, path, channels === 1 ? 1 : 3);
    const grey = channels < 3;
    const space = deep ? (grey ? 'grey16' : 'rgb16') : grey ? 'b-w' : 'srgb';
    const { data, info } = await reader(bytes)
      .rotate()
      .toColourspace(space)
      .raw({ depth: deep ? 'ushort' : 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const { width, height } = info;
    // Other counts than these do not come out of these colour spaces.
    const count = info.channels as MaskPixels['channels'];
    const stored = new Uint8Array(data);
    return { width, height, channels: count, data: deep ? new Uint16Array(stored.buffer) : stored };
  } catch (error) {
    throw new Error(`${path}: cannot be read as an image (${(error as Error).message})`);
  }
}

/** Width and height of an image file after EXIF rotation, from its header. */
export async function imageSize(
  bytes: Uint8Array,
  path: string,
): Promise<{ readonly width: number; readonly height: number }> {
  if (isBitmap(bytes)) return decodeImage(bytes, path);
  try {
    const { autoOrient } = await sharp(bytes).metadata();
    return { width: autoOrient.width, height: autoOrient.height };
  } catch (error) {
    throw new Error(`${path}: cannot be read as an image (${(error as Error).message})`);
  }
}

/** What an image file is, decoded once to be sure that it can be; sizes after EXIF rotation. */
export async function inspectImage(bytes: Uint8Array, path: string): Promise<ImageFacts> {
  const { width, height } = await decodeImage(bytes, path);
  if (isBitmap(bytes)) return { width, height, channels: 3, depth: 8, format: 'bmp' };
  const { channels, depth, format } = await sharp(bytes).metadata();
  return { width, height, channels: channels ?? 3, depth: depth === 'ushort' ? 16 : 8, format: format ?? 'unknown' };
}

/** Encodes 8-bit pixels as PNG. */
export async function encodePng(image: Image): Promise<Uint8Array> {
  const { width, height, channels } = image;
  return sharp(image.data, { raw: { width, height, channels } }).png().toBuffer();
}

/** Encodes 8-bit pixels small enough to lie in a page. */
export async function encodeWebp({ width, height, channels, data }: Image): Promise<Uint8Array> {
  return sharp(data, { raw: { width, height, channels } }).webp({ quality: 88 }).toBuffer();
}
