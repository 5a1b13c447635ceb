/** Threads in browsers: none of the library's own. A page makes its own workers. */
import { resizeBicubic } from '../../image/resize.ts';
import type { ThreadPlatform } from '../platform.ts';
import { noFiles } from './files.ts';
import { decodeImage } from './images.ts';

export const loadResized: ThreadPlatform['loadResized'] = noFiles;

/** Decodes an image file and resizes it to size x size, in this thread. */
export const decodeResized: ThreadPlatform['decodeResized'] = async (bytes, name, size, signal) => {
  signal?.throwIfAborted();
  const { width, height, ...rest } = await decodeImage(bytes, name);
  return { image: resizeBicubic({ width, height, ...rest }, size, size), width, height };
};
