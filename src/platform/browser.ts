/**
 * What differs in browsers: WebGPU from `navigator.gpu`, image decoding from the page, no file system.
 * Chosen by the package's `imports` conditions; `node.ts` has the same exports.
 */
import type { Image, ImageInput } from '../data/image.ts';
import type { ImageFacts } from '../data/inspect.ts';
import type { MaskPixels } from '../data/mask_pixels.ts';
import type { ImageBands } from '../data/tiles.ts';
import type { ScratchFile } from '../eval/map_store.ts';
import { type Codecs, readImage } from '../image/decode.ts';
import { decodeJpeg } from '../image/jpeg.ts';
import { bareJpeg } from '../image/jpeg_segments.ts';
import { decodePng } from '../image/png.ts';
import { firstChannels, type Stored } from '../image/stored.ts';
import { decodeTiff, readTiff } from '../image/tiff.ts';
import { bareWebp, losslessPicture } from '../image/webp_chunks.ts';
import { decodeLossless } from '../image/webp_lossless.ts';
import type { GpuSettings } from './gpu_settings.ts';
import type { FolderEntry } from './node_read.ts';
import type { ResultFinder } from './node_record.ts';

export type { FolderEntry } from './node_read.ts';

/** The browser's GPU object; its settings are not ours to choose. */
export function openGpu(_settings: GpuSettings): { gpu: GPU } {
  if (!navigator.gpu)
    throw new Error(
      'This browser offers no WebGPU here: it needs a secure context (https or localhost) and WebGPU enabled.',
    );
  return { gpu: navigator.gpu };
}

/** Browsers wait for the device without polling. */
export function restWhile(_waiting: () => boolean): void {}

/** Browsers compile in another process and need no turn of this one's event loop. */
export function nextTurn(): Promise<void> {
  return Promise.resolve();
}

export const adapterAdvice =
  'No WebGPU adapter was found: check that hardware acceleration is on, or start Chromium with --enable-unsafe-webgpu.';

/** RGB of an opaque picture, as the browser decodes it: nothing in it tells to convert, blend or rotate. */
async function decodeOpaque(bytes: Uint8Array): Promise<Stored> {
  const bitmap = await createImageBitmap(new Blob([bytes as Uint8Array<ArrayBuffer>]), {
    premultiplyAlpha: 'none',
    colorSpaceConversion: 'none',
  });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('this browser offers no 2-D canvas');
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = new Uint8Array(context.getImageData(0, 0, width, height).data.buffer);
  return { width, height, channels: 3, data: firstChannels(rgba, 4, 3) };
}

const codecs: Codecs = {
  // Canvases multiply colours by alpha and lose them, and have 8 bits.
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

function noFiles(): never {
  throw new Error('browsers have no file system: pass the data itself');
}

export const loadResized = noFiles as (path: string, size: number) => Promise<Image>;
export const decodeMask = noFiles as (bytes: Uint8Array, path: string) => Promise<MaskPixels>;
export const imageSize = noFiles as (
  bytes: Uint8Array,
  path: string,
) => Promise<{ readonly width: number; readonly height: number }>;
export const decodedBytes = noFiles as (path: string) => Promise<number>;
export const openBands = noFiles as (path: string) => Promise<ImageBands>;
export const overview = noFiles as (path: string, side: number) => Promise<Image>;
export const packageRoot = noFiles as () => string;
export const encodePng = noFiles as (image: ImageInput) => Promise<Uint8Array>;
export const encodeWebp = noFiles as (image: Image) => Promise<Uint8Array>;
export const readBytes = noFiles as (path: string) => Promise<Uint8Array>;
export const writeBytes = noFiles as (path: string, data: Uint8Array | string) => Promise<void>;
export const exists = noFiles as (path: string) => Promise<'file' | 'folder' | undefined>;
export const listFolder = noFiles as (path: string) => Promise<string[]>;
export const readFolder = noFiles as (path: string) => Promise<FolderEntry[]>;
export const resultFinder = noFiles as () => ResultFinder;
export const realPath = noFiles as (path: string) => Promise<string>;

/** Nothing is kept: a page's storage is not the library's to fill. */
export function keptText(_name: string): string | undefined {
  return undefined;
}

export async function keepText(_name: string, _text: string): Promise<void> {}

/** Blobs, which browsers keep on disk when they are many. */
export async function openScratchFile(): Promise<ScratchFile> {
  const parts: { start: number; blob: Blob }[] = [];
  let end = 0;
  return {
    async append(bytes) {
      parts.push({ start: end, blob: new Blob([bytes as Uint8Array<ArrayBuffer>]) });
      end += bytes.length;
    },
    async read(offset, length) {
      const part = parts.find(({ start, blob }) => start <= offset && offset + length <= start + blob.size);
      if (!part) throw new Error(`nothing was kept at byte ${offset}`);
      const slice = part.blob.slice(offset - part.start, offset - part.start + length);
      return new Uint8Array(await slice.arrayBuffer());
    },
    async close() {
      parts.length = 0;
    },
  };
}
