/** A thread that decodes and resizes images, so that the thread that feeds the GPU does not wait for it. */
import type { Image } from '../data/image.ts';
import { resizeBicubic } from '../data/resize.ts';
import { decodeImage } from './node_images.ts';
import { readBytes } from './node_read.ts';

export default async function load({ path, size }: { path: string; size: number }): Promise<Image> {
  return resizeBicubic(await decodeImage(await readBytes(path), path), size, size);
}
