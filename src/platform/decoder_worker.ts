/** A thread that decodes and resizes images, so that the thread that feeds the GPU does not wait for it. */
import { readFile } from 'node:fs/promises';
import type { Image } from '../data/image.ts';
import { resizeBicubic } from '../data/resize.ts';
import { decodeImage } from './node_images.ts';

export default async function load({ path, size }: { path: string; size: number }): Promise<Image> {
  return resizeBicubic(await decodeImage(await readFile(path), path), size, size);
}
