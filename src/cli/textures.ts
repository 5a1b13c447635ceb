/** Textures for synthetic anomalies: a folder of photographs, or the procedural ones. */
import { createHash } from 'node:crypto';
import { decodeImage, readBytes } from '#platform';
import { mapConcurrently } from '../data/dataset.ts';
import type { Image } from '../data/image.ts';
import { resizeBilinear } from '../data/resize.ts';
import type { TextureSource } from '../synthetic/anomaly.ts';
import { proceduralTextures } from '../synthetic/procedural_textures.ts';
import { findImages } from './common.ts';

// Textures are drawn at random: those beyond this are decoded again when their turn comes.
const memoryBytes = 256 * 2 ** 20;

/**
 * Photographs as textures, each decoded when it is wanted and resized to the network's size; the ones that were used last
 * stay in memory.
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
  // A Map keeps the order of insertion: the first one was used longest ago.
  const kept = new Map<number, Promise<Image>>();
  const most = Math.max(1, Math.floor(limit / (size * size * 3)));
  const load = async (path: string) => resizeBilinear(await decodeImage(await readBytes(path), path), size, size);
  return {
    name: `${paths.length} images`,
    count: paths.length,
    digest,
    texture(index) {
      const image = kept.get(index) ?? load(paths[index] as string);
      kept.delete(index);
      kept.set(index, image);
      if (kept.size > most) kept.delete(kept.keys().next().value as number);
      return image;
    },
  };
}

async function textureFolder(folder: string, size: number): Promise<TextureSource> {
  const paths = await findImages(folder);
  if (!paths.length) throw new Error(`${folder} holds no images to use as textures`);
  const digests = await mapConcurrently(paths, async (path) => {
    const bytes = await readBytes(path);
    await decodeImage(bytes, path);
    return createHash('sha256').update(bytes).digest();
  });
  const all = createHash('sha256');
  for (const digest of digests) all.update(digest);
  return texturesOf(paths, all.digest('hex'), size);
}

/** The folder of textures, or the procedural ones, for a network input of `size` x `size` pixels. */
export async function textureSource(folder: string | undefined, size: number): Promise<TextureSource> {
  return folder ? textureFolder(folder, size) : proceduralTextures();
}
