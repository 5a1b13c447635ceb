/** Image files of a user, decoded within this process's bound of memory. */
import { decodedBytes, decodeImage, openBands, readBytes } from '#platform';
import type { ImageBands } from '../image/bands.ts';
import { decodingBudget } from '../image/decoding_budget.ts';
import type { Image } from '../image/image.ts';
import { reading } from './unreadable.ts';

// Bands of an image that is too large to be decoded as a whole, with their working memory.
const bandBytes = 2 ** 28;

/**
 * Decodes an image file and works with it; the memory is given back when the work is done.
 *
 * @param work must not decode another file this way: it could wait for itself
 * @param more bytes that the work takes beside the image
 * @throws UnreadableError where the file cannot be read, or is too large to be decoded as a whole
 */
export async function withImage<T>(
  path: string,
  work: (image: Image) => T | Promise<T>,
  more = 0,
): Promise<T> {
  const bytes = await reading(path, () => decodedBytes(path));
  return decodingBudget.run(bytes + more, async () => work(await readImage(path)));
}

/** Decodes an image file; for small ones, or where {@link withImage} holds the memory already. */
export function readImage(path: string, channels: 1 | 3 = 3): Promise<Image> {
  return reading(path, async () => decodeImage(await readBytes(path), path, channels));
}

/** As {@link withImage}, for images of any size, which are read from top to bottom. */
export async function withBands<T>(
  path: string,
  work: (bands: ImageBands) => T | Promise<T>,
  more = 0,
): Promise<T> {
  // A file that cannot be read is reported where it is opened, below.
  const bytes = await decodedBytes(path).catch(() => bandBytes);
  return decodingBudget.run(bytes + more, async () => {
    const bands = await reading(path, () => openBands(path));
    return work({ ...bands, rows: (y, height) => reading(path, () => bands.rows(y, height)) });
  });
}
