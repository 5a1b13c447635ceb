/** A thread that decodes and resizes images, so that the thread that feeds the GPU does not wait for it. */
import type { Image } from '../../image/image.ts';
import { resizeBicubic } from '../../image/resize.ts';
import { decodeImage } from './images.ts';
import { readBytes } from './read.ts';

export default async function load({ path, size }: { path: string; size: number }): Promise<Image> {
  return resizeBicubic(await decodeImage(await readBytes(path), path), size, size);
}
