/** Images in browsers. What the browser decodes exactly, it decodes; `src/image` decodes the rest. */
import { UnsupportedError } from '../../base/errors.ts';
import { type Codecs, readImage } from '../../image/decode.ts';
import type { Image, ImageFacts } from '../../image/image.ts';
import { decodeJpeg } from '../../image/jpeg.ts';
import { bareJpeg } from '../../image/jpeg_segments.ts';
import { decodePng } from '../../image/png.ts';
import { firstChannels, type Stored } from '../../image/stored.ts';
import { decodeTiff, readTiff } from '../../image/tiff.ts';
import { bareWebp, losslessPicture } from '../../image/webp_chunks.ts';
import { decodeLossless } from '../../image/webp_lossless.ts';
import type { ImagePlatform } from '../platform.ts';
import { noFiles } from './files.ts';

/**
 * RGB of an opaque picture, decoded by the browser. The bytes hold nothing to convert, blend or rotate by.
 */
async function decodeOpaque(bytes: Uint8Array): Promise<Stored> {
  const bitmap = await createImageBitmap(new Blob([bytes as Uint8Array<ArrayBuffer>]), {
    premultiplyAlpha: 'none',
    colorSpaceConversion: 'none',
  });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw new UnsupportedError('this browser offers no 2-D canvas');
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = new Uint8Array(context.getImageData(0, 0, width, height).data.buffer);
  return { width, height, channels: 3, data: firstChannels(rgba, 4, 3) };
}

const codecs: Codecs = {
  // Not by a canvas: it has 8 bits, and multiplies colours by alpha, which loses them.
  png: decodePng,
  async jpeg(bytes, _header, colours) {
    const inks = colours === 'cmyk' || colours === 'ycck';
    return inks ? decodeJpeg(bytes, colours) : decodeOpaque(bareJpeg(bytes));
  },
  async webp(bytes) {
    const lossless = losslessPicture(bytes);
    return lossless ? { channels: 3, ...decodeLossless(lossless) } : decodeOpaque(bareWebp(bytes));
  },
  async tiff(bytes, header, alpha) {
    return decodeTiff(bytes, header, readTiff(bytes).layout, alpha);
  },
};

/**
 * Decodes an image file (PNG, JPEG, BMP, WebP, TIFF) to 8-bit RGB, or grey where asked: the values that
 * Pillow gives, and Node.
 *
 * @throws Error naming the file
 */
export async function decodeImage(bytes: Uint8Array, path: string, channels: 1 | 3 = 3): Promise<Image> {
  return (await readImage(bytes, path, channels, codecs)).image;
}

/** What an image file is, decoded once to be sure that it can be; sizes after EXIF rotation. */
export async function inspectImage(bytes: Uint8Array, path: string): Promise<ImageFacts> {
  return (await readImage(bytes, path, 3, codecs)).facts;
}

export const decodeMask: ImagePlatform['decodeMask'] = noFiles;
export const imageSize: ImagePlatform['imageSize'] = noFiles;
export const imageFileSize: ImagePlatform['imageFileSize'] = noFiles;
export const encodePng: ImagePlatform['encodePng'] = noFiles;
export const encodeWebp: ImagePlatform['encodeWebp'] = noFiles;
export const decodedBytes: ImagePlatform['decodedBytes'] = noFiles;
export const openBands: ImagePlatform['openBands'] = noFiles;
export const overview: ImagePlatform['overview'] = noFiles;
