/**
 * What differs in Node: the WebGPU implementation (Dawn, package `webgpu`), image decoding (sharp) and files.
 * Chosen by the package's `imports` conditions; `browser.ts` has the same exports.
 */

import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { Tinypool } from 'tinypool';
import { create, globals } from 'webgpu';
import { decodingBudget } from '../data/concurrently.ts';
import type { Image } from '../data/image.ts';
import { resizeBicubic } from '../data/resize.ts';
import { cacheFolder } from './cache_folder.ts';
import type { GpuSettings } from './gpu_settings.ts';
import { widenMesaVectors } from './mesa.ts';
import { decodedBytes } from './node_bands.ts';
import { decodeImage } from './node_images.ts';
import { readBytes } from './node_read.ts';
import { removeStaleTemporaries, writeBytes } from './node_write.ts';

export { decodedBytes, openBands, overview } from './node_bands.ts';
export { decodeImage, decodeMask, encodePng, encodeWebp, imageSize, inspectImage } from './node_images.ts';
export {
  exists,
  type FolderEntry,
  listFolder,
  openScratchFile,
  readBytes,
  readFolder,
  realPath,
} from './node_read.ts';
export { type ResultFinder, resultFinder } from './node_record.ts';
export { writeBytes } from './node_write.ts';

const instances = new Map<string, GPU>();

/**
 * The process's GPU object for these settings. There is one of each kind, kept until the process ends: an
 * instance of Dawn costs megabytes that do not all come back, and the process crashes where one is collected
 * before its last device. It does not keep the process alive, only devices that are not destroyed do.
 */
export function openGpu({ shaderChecks, zeros, experiments }: GpuSettings): { gpu: GPU } {
  const enabled = [
    ...(shaderChecks ? [] : ['disable_robustness']),
    ...(experiments ? ['allow_unsafe_apis'] : []),
  ];
  const flags: string[] = [];
  if (enabled.length) flags.push(`enable-dawn-features=${enabled.join(',')}`);
  if (!zeros) flags.push('disable-dawn-features=lazy_clear_resource_on_first_use');
  const key = flags.join(' ');
  let gpu = instances.get(key);
  if (!gpu) {
    Object.assign(globalThis, globals);
    // A worker thread's environment is a copy that the driver does not see.
    if (isMainThread) widenMesaVectors(process.env);
    gpu = create(flags);
    instances.set(key, gpu);
  }
  return { gpu };
}

const cell = new Int32Array(new SharedArrayBuffer(4));
const restMilliseconds = 0.2;

/**
 * Lets this thread sleep between turns of the event loop while `waiting()` holds. Dawn's Node binding polls
 * the device without a pause; beside a software driver that takes a core away from the kernels (a third of
 * the speed on two cores).
 */
export function restWhile(waiting: () => boolean): void {
  const turn = () => {
    if (!waiting()) return;
    Atomics.wait(cell, 0, 0, restMilliseconds);
    setImmediate(turn);
  };
  setImmediate(turn);
}

/** Resolves after a turn of the event loop, in which Dawn tells what is done. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export const adapterAdvice =
  'No WebGPU adapter was found. With a GPU, install its Vulkan driver. Without one, install a software driver: ' +
  'Debian/Ubuntu: bash scripts/setup-system.sh (mesa-vulkan-drivers 24 or newer and libvulkan1). ' +
  'VK_DRIVER_FILES can name a driver file, for instance /usr/share/vulkan/icd.d/lvp_icd.json.';

/** The folder of this package, found from the built files or from the sources. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('the package folder was not found');
    folder = parent;
  }
  return folder;
}

let pool: Tinypool | undefined | null;

/**
 * Threads that decode and resize; null where the built worker is missing (a program that bundles the
 * sources).
 */
function decoderPool(): Tinypool | null {
  if (pool === undefined) {
    const worker = join(packageRoot(), 'dist/decoder_worker.js');
    const maxThreads = Math.min(Math.max(availableParallelism() - 1, 1), 8);
    pool = existsSync(worker)
      ? new Tinypool({
          filename: worker,
          minThreads: 0,
          maxThreads,
          idleTimeout: 2000,
          concurrentTasksPerWorker: 2,
        })
      : null;
  }
  return pool;
}

/**
 * Decodes an image file and resizes it to size x size as the network sees it, beside this thread, which feeds
 * the GPU. Images that are being decoded share a bound of memory.
 *
 * @throws Error naming a file that cannot be read, or that is too large to be decoded as a whole
 */
export async function loadResized(path: string, size: number): Promise<Image> {
  return decodingBudget.run(await decodedBytes(path), async () => {
    const workers = decoderPool();
    if (!workers) return resizeBicubic(await decodeImage(await readBytes(path), path), size, size);
    return (await workers.run({ path, size })) as Image;
  });
}

let tidied: Promise<number> | undefined;

function keptPath(name: string): string {
  return join(cacheFolder(), 'kernels', `${name}.json`);
}

/**
 * What was kept under a name (letters, digits and `_.,=-`) for later processes; undefined where there is
 * nothing.
 */
export function keptText(name: string): string | undefined {
  try {
    // Small, and wanted at once: a turn of the event loop would take longer.
    return readFileSync(keptPath(name), 'utf8');
  } catch {
    return undefined;
  }
}

/** Keeps a text in the user's cache folder. It can be made again, so nobody waits for the disk. */
export async function keepText(name: string, text: string): Promise<void> {
  const path = keptPath(name);
  // Once per process: what an earlier one left when it was killed.
  tidied ??= removeStaleTemporaries(dirname(path));
  await tidied;
  await writeBytes(path, text, { durable: false });
}
