/**
 * What differs in browsers: WebGPU from `navigator.gpu`, image decoding from the page, no file system. Chosen by the package's
 * `imports` conditions; `node.ts` has the same exports.
 */
import type { Image } from '../data/image.ts';
import type { ImageFacts } from '../data/inspect.ts';
import type { MaskPixels } from '../data/mask_pixels.ts';
import type { ScratchFile } from '../eval/map_store.ts';
import type { GpuSettings } from './gpu_settings.ts';
import type { FolderEntry } from './node_read.ts';

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

/** Decodes an image file to 8-bit RGB, or grey where asked (Pillow's weights). */
export async function decodeImage(bytes: Uint8Array, path: string, channels: 1 | 3 = 3): Promise<Image> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes as Uint8Array<ArrayBuffer>]), {
      premultiplyAlpha: 'none',
      colorSpaceConversion: 'none',
    });
  } catch (error) {
    throw new Error(`${path}: cannot be read as an image (${(error as Error).message})`);
  }
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('this browser offers no 2-D canvas');
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height * channels);
  for (let i = 0; i < width * height; i++) {
    const [r, g, b] = [rgba[4 * i] as number, rgba[4 * i + 1] as number, rgba[4 * i + 2] as number];
    if (channels === 1) data[i] = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
    else data.set([r, g, b], i * 3);
  }
  return { width, height, channels, data };
}

/** Size of an image file; browsers do not tell what it was before they decoded it. */
export async function inspectImage(bytes: Uint8Array, path: string): Promise<ImageFacts> {
  const { width, height } = await decodeImage(bytes, path);
  return { width, height, channels: 3, depth: 8, format: 'image' };
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
export const packageRoot = noFiles as () => string;
export const encodePng = noFiles as (image: Image) => Promise<Uint8Array>;
export const encodeWebp = noFiles as (image: Image) => Promise<Uint8Array>;
export const readBytes = noFiles as (path: string) => Promise<Uint8Array>;
export const writeBytes = noFiles as (path: string, data: Uint8Array | string) => Promise<void>;
export const exists = noFiles as (path: string) => Promise<'file' | 'folder' | undefined>;
export const listFolder = noFiles as (path: string) => Promise<string[]>;
export const readFolder = noFiles as (path: string) => Promise<FolderEntry[]>;
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
