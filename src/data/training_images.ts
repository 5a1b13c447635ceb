/** Good images as training sees them: resized, with their foregrounds; cut into tiles where asked. */
import { decodeImage, exists, loadResized, readBytes } from '#platform';
import { mapConcurrently, type Sample } from './dataset.ts';
import { imagesIn, masksIn } from './files.ts';
import { type ForegroundRule, foreground } from './foreground.ts';
import type { Image } from './image.ts';
import { resizeBicubic } from './resize.ts';
import { crop, type Tiling, tileGrid } from './tiles.ts';

export interface TrainingImages {
  /** Resized to size x size. */
  readonly images: readonly Image[];
  /** 0/1 [size, size] of each image; undefined where everything is foreground. */
  readonly foregrounds: readonly Uint8Array[] | undefined;
  readonly warnings: readonly string[];
}

/** The user's masks by the stem of their image. */
async function ownMasks(rule: ForegroundRule): Promise<Map<string, string>> {
  if (rule.kind !== 'folder') return new Map();
  if ((await exists(rule.path)) !== 'folder') throw new Error(`${rule.path}: no such folder of foreground masks`);
  if (!(await imagesIn(rule.path)).length) throw new Error(`${rule.path} holds no foreground masks`);
  return masksIn(rule.path);
}

/**
 * Loads images for training.
 *
 * @throws Error naming an image that cannot be read, or where most foregrounds are empty: stage I would learn nothing
 */
export async function loadTrainingImages(
  samples: readonly Sample[],
  size: number,
  options: {
    readonly foreground: ForegroundRule;
    readonly tiling?: Tiling | undefined;
    readonly onProgress?: (done: number, total: number) => void;
  },
): Promise<TrainingImages> {
  const { foreground: rule, tiling } = options;
  const own = await ownMasks(rule);
  const warnings: string[] = [];
  const loaded = await mapConcurrently(
    samples,
    async ({ path, stem }) => {
      if (!tiling && rule.kind === 'none') return [{ path, image: await loadResized(path, size), mask: undefined }];
      const image = await decodeImage(await readBytes(path), path);
      const maskPath = own.get(stem);
      if (rule.kind === 'folder' && !maskPath) warnings.push(`${path}: no foreground mask ${stem}.png in ${rule.path}`);
      const ownMask = maskPath ? await decodeImage(await readBytes(maskPath), maskPath, 1) : undefined;
      const parts = tiling ? tileGrid(image.width, image.height, tiling) : [undefined];
      return parts.map((tile) => {
        const part = tile ? crop(image, tile) : image;
        const ownPart = tile && ownMask ? crop(ownMask, tile) : ownMask;
        return { path, image: resizeBicubic(part, size, size), mask: foreground(part, rule, size, ownPart) };
      });
    },
    options.onProgress,
  );
  const all = loaded.flat();
  const images = all.map(({ image }) => image);
  if (rule.kind === 'none') return { images, foregrounds: undefined, warnings };
  const masks = all.map(({ mask }) => mask as Uint8Array);
  const empty = all.filter((_, i) => !masks[i]?.includes(1));
  if (empty.length > all.length / 2)
    throw new Error(
      `the foreground is empty on ${empty.length} of ${all.length} images (the first is ${empty[0]?.path}): ` +
        'choose another rule with --foreground; aand preview shows what a rule does',
    );
  for (const { path } of empty) warnings.push(`${path}: the foreground is empty`);
  return { images, foregrounds: masks, warnings };
}
