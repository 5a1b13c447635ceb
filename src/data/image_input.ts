/** Images as the input of a program: their bytes, normalised on the device. */

import type { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { type ChangedPixels, normalizePixels } from '../engine/ops/pixels.ts';
import type { Image } from '../image/image.ts';
import { normalizationTable } from '../image/normalize.ts';

/**
 * Declares the input `pixels` ({@link pixelWords}); returns the normalised images [batch, size, size, 3].
 *
 * @param changed values in the place of some pixels' bytes
 */
export function imageInput(tape: Tape, batch: number, size: number, changed?: ChangedPixels): Tensor {
  const words = tape.input('pixels', [batch, (size * size * 3) / 4], 'dense');
  const table = tape.constant('normalization', [256, 3], 'channels', normalizationTable());
  return normalizePixels(tape, words, table, [batch, size, size, 3], changed);
}

/** The bytes of RGB images of one size, one after the other, four to a word. */
export function pixelWords(images: readonly Image[]): Uint32Array {
  const size = images[0]?.data.length ?? 0;
  const bytes = new Uint8Array(size * images.length);
  images.forEach(({ data, width, height }, i) => {
    if (data.length !== size)
      throw new Error(`an image of ${width}x${height} pixels among others of another size`);
    bytes.set(data, i * size);
  });
  return new Uint32Array(bytes.buffer);
}
