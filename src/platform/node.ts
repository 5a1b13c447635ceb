/**
 * What differs in Node: the WebGPU implementation (Dawn, package `webgpu`), image decoding (sharp) and files.
 * Chosen by the package's `imports` conditions; `browser.ts` has the same exports.
 */
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { decode as decodeBmp } from 'bmp-ts';
import sharp, { type Sharp } from 'sharp';
import { create, globals } from 'webgpu';
import type { Image } from '../data/image.ts';
import type { ImageFacts } from '../data/inspect.ts';
import type { ScratchFile } from '../eval/map_store.ts';

/** A GPU object; dropping it after `device.destroy()` lets the process exit. */
export function openGpu(): { gpu: GPU } {
  Object.assign(globalThis, globals);
  return { gpu: create([]) };
}

const cell = new Int32Array(new SharedArrayBuffer(4));
const restMilliseconds = 0.2;

/**
 * Lets this thread sleep between turns of the event loop while `waiting()` holds. Dawn's Node binding polls the device without
 * a pause; beside a software driver that takes a core away from the kernels (a third of the speed on two cores).
 */
export function restWhile(waiting: () => boolean): void {
  const turn = () => {
    if (!waiting()) return;
    Atomics.wait(cell, 0, 0, restMilliseconds);
    setImmediate(turn);
  };
  setImmediate(turn);
}

export const adapterAdvice =
  'No WebGPU adapter was found. With a GPU, install its Vulkan driver. Without one, install a software driver: ' +
  'Debian/Ubuntu: bash scripts/setup-system.sh (mesa-vulkan-drivers 24 or newer and libvulkan1). ' +
  'VK_DRIVER_FILES can name a driver file, for instance /usr/share/vulkan/icd.d/lvp_icd.json.';

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

export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new Error(
      code === 'ENOENT' ? `${path}: no such file` : `${path}: cannot be read (${(error as Error).message})`,
    );
  }
}

/** Writes a file whole or not at all: a reader, or a crash, never sees half of it. */
export async function writeBytes(path: string, data: Uint8Array | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, data);
  await rename(temporary, path);
}

export async function exists(path: string): Promise<'file' | 'folder' | undefined> {
  try {
    const info = await stat(path);
    return info.isDirectory() ? 'folder' : 'file';
  } catch {
    return undefined;
  }
}

/** Names in a folder, sorted; folders end with '/'. Empty where the folder does not exist. */
export async function listFolder(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    const names = await Promise.all(
      entries.map(async (entry) => {
        const folder = entry.isSymbolicLink()
          ? (await exists(join(path, entry.name))) === 'folder'
          : entry.isDirectory();
        return folder ? `${entry.name}/` : entry.name;
      }),
    );
    return names.sort();
  } catch {
    return [];
  }
}

/** A temporary file that is gone when it is closed, or when the process ends without closing it. */
export async function openScratchFile(): Promise<ScratchFile> {
  const folder = await mkdtemp(join(tmpdir(), 'aand-maps-'));
  const file = await open(join(folder, 'maps'), 'w+');
  // The open file lives on without its name, and cannot be left behind.
  await rm(folder, { recursive: true });
  let end = 0;
  return {
    async append(bytes) {
      const { bytesWritten } = await file.write(bytes, 0, bytes.length, end);
      if (bytesWritten !== bytes.length) throw new Error(`the disk of ${tmpdir()} is full: maps could not be kept`);
      end += bytes.length;
    },
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      await file.read(bytes, 0, length, offset);
      return bytes;
    },
    close: () => file.close(),
  };
}
