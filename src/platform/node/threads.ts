/** Threads that decode and resize images, so that the thread that feeds the GPU does not wait for them. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Tinypool } from 'tinypool';
import { ByteBudget } from '../../base/concurrently.ts';
import { AandError, InvalidImageError } from '../../base/errors.ts';
import { decodingBudget } from '../../image/decoding_budget.ts';
import type { Image } from '../../image/image.ts';
import type { ResizedImage } from '../platform.ts';
import { decodedBytes } from './bands.ts';
import load, { type DecoderTask } from './decoder_worker.ts';
import { imageSize } from './images.ts';
import { packageRoot } from './package_root.ts';

let pool: Tinypool | undefined | null;

const maxThreads = Math.min(Math.max(availableParallelism() - 1, 1), 8);
const tasksPerThread = 2;
// Tasks beyond these wait here and not in the pool, so that one whose sender has gone is never begun.
const turns = new ByteBudget(maxThreads * tasksPerThread);

/**
 * The threads that decode and resize; null where the built worker is missing, as in a program that bundles
 * the sources.
 */
function decoderPool(): Tinypool | null {
  if (pool === undefined) {
    const worker = join(packageRoot(), 'dist/decoder_worker.js');
    pool = existsSync(worker)
      ? new Tinypool({
          filename: worker,
          minThreads: 0,
          maxThreads,
          idleTimeout: 2000,
          concurrentTasksPerWorker: tasksPerThread,
          // Options of this process, such as --input-type, may be none that a thread takes.
          execArgv: [],
        })
      : null;
  }
  return pool;
}

async function resized(task: DecoderTask, decoded: number, signal?: AbortSignal): Promise<ResizedImage> {
  return turns.run(1, () =>
    decodingBudget.run(decoded, async () => {
      signal?.throwIfAborted();
      const workers = decoderPool();
      return workers ? ((await workers.run(task)) as ResizedImage) : load(task);
    }),
  );
}

/**
 * Decodes an image file and resizes it to size x size as the network sees it, beside this thread, which feeds
 * the GPU. Images that are being decoded share a bound of memory.
 *
 * @throws Error naming a file that cannot be read, or that is too large to be decoded as a whole
 */
export async function loadResized(path: string, size: number): Promise<Image> {
  return (await resized({ path, size }, await decodedBytes(path))).image;
}

/**
 * As {@link loadResized}, for the bytes of an image file.
 *
 * @param name names the file in errors
 * @param signal an image whose decoding has not begun is not decoded any more
 * @returns the resized image, and the size that it had (after EXIF rotation)
 * @throws the signal's reason
 */
export async function decodeResized(
  bytes: Uint8Array,
  name: string,
  size: number,
  signal?: AbortSignal,
): Promise<ResizedImage> {
  const { width, height } = await imageSize(bytes, name);
  try {
    return await resized({ path: name, bytes, size }, 3 * width * height, signal);
  } catch (error) {
    // An error loses its class on its way from a thread.
    if (signal?.aborted || error instanceof AandError) throw error;
    throw new InvalidImageError((error as Error).message, { cause: error });
  }
}
