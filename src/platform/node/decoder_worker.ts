/** A thread that decodes and resizes images, so that the thread that feeds the GPU does not wait for it. */
import { resizeBicubic } from '../../image/resize.ts';
import type { ResizedImage } from '../platform.ts';
import { decodeImage } from './images.ts';
import { readBytes } from './read.ts';

export interface DecoderTask {
  /** Names the file in errors. */
  readonly path: string;
  /** Its bytes; left out, they are read from the path. */
  readonly bytes?: Uint8Array;
  readonly size: number;
}

export default async function load({ path, bytes, size }: DecoderTask): Promise<ResizedImage> {
  const whole = await decodeImage(bytes ?? (await readBytes(path)), path);
  return { image: resizeBicubic(whole, size, size), width: whole.width, height: whole.height };
}
