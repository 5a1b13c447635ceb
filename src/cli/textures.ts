/** Textures for synthetic anomalies: a folder of photographs, or the procedural ones. */
import { createHash } from 'node:crypto';
import { loadResized, readBytes } from '#platform';
import { mapConcurrently } from '../base/concurrently.ts';
import { ImageCache } from '../data/image_cache.ts';
import { withImage } from '../data/image_files.ts';
import { reading, UnreadableFiles } from '../data/unreadable.ts';
import { resizeBilinear } from '../image/resize.ts';
import type { TextureSource } from '../synthetic/anomaly.ts';
import { proceduralTextures } from '../synthetic/procedural_textures.ts';
import { findImages } from './find_images.ts';

// Textures are drawn at random: those beyond this are decoded again when their turn comes.
const memoryBytes = 256 * 2 ** 20;

/**
 * Photographs as textures, each decoded when it is wanted and resized to the network's size; the ones that
 * were used last stay in memory.
 *
 * @param digest of all files, so that a training is not resumed with others
 * @param size side of what {@link TextureSource.texture} gives
 * @param limit bytes that stay in memory
 */
export function texturesOf(
  paths: readonly string[],
  digest: string,
  size: number,
  limit: number = memoryBytes,
): TextureSource {
  const load = (index: number) =>
    withImage(paths[index] as string, (image) => resizeBilinear(image, size, size));
  const kept = new ImageCache(paths.length, load, limit);
  return {
    name: `${paths.length} images`,
    count: paths.length,
    digest,
    texture: (index) => kept.image(index),
  };
}

/** @throws Error where the folder holds no image that can be read */
async function textureFolder(
  folder: string,
  size: number,
  unreadable: UnreadableFiles,
): Promise<TextureSource> {
  const found = await findImages([folder], unreadable);
  const digests = await mapConcurrently(found, (path) =>
    unreadable.skip(async () => {
      await reading(path, () => loadResized(path, size));
      return createHash('sha256')
        .update(await readBytes(path))
        .digest();
    }),
  );
  const paths = found.filter((_, i) => digests[i]);
  if (!paths.length)
    throw new Error(`none of the ${found.length} textures can be read: ${unreadable.summary}`);
  const all = createHash('sha256');
  for (const digest of digests) if (digest) all.update(digest);
  return texturesOf(paths, all.digest('hex'), size);
}

/**
 * The folder of textures, or the procedural ones, for a network input of `size` x `size` pixels.
 *
 * @param unreadable is told files that cannot be read; they are left out
 */
export async function textureSource(
  folder: string | undefined,
  size: number,
  unreadable: UnreadableFiles = new UnreadableFiles({ strict: true }),
): Promise<TextureSource> {
  return folder ? textureFolder(folder, size, unreadable) : proceduralTextures();
}
