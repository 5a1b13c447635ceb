/** Good images as training sees them: resized, with their foregrounds; cut into tiles where asked. */
import { decodeImage, decodeMask, exists, loadResized, readBytes } from '#platform';
import { mapConcurrently, type Sample } from './dataset.ts';
import { extensionOf, masksIn } from './files.ts';
import { type ForegroundRule, foreground } from './foreground.ts';
import type { Image } from './image.ts';
import { decideEncoding } from './mask_encoding.ts';
import { classEncoding, defectivePixels, type MaskEncoding, maskEvidence } from './mask_pixels.ts';
import { resizeBicubic } from './resize.ts';
import { crop, type Tiling, tileGrid } from './tiles.ts';

export interface TrainingImages {
  /** Resized to size x size. */
  readonly images: readonly Image[];
  /** 0/1 [size, size] of each image; undefined where everything is foreground. */
  readonly foregrounds: readonly Uint8Array[] | undefined;
  readonly warnings: readonly string[];
}

interface OwnMasks {
  /** By the stem of their image. */
  readonly paths: ReadonlyMap<string, string>;
  readonly encoding: MaskEncoding;
  readonly warnings: readonly string[];
}

/**
 * The user's masks. Every shade above black is foreground, in JPEG files the brighter half; where the alpha channel tells, what
 * is opaque. They are never taken as inverted, because a product often fills the image.
 */
async function ownMasks(rule: ForegroundRule): Promise<OwnMasks> {
  if (rule.kind !== 'folder') return { paths: new Map(), encoding: classEncoding, warnings: [] };
  if ((await exists(rule.path)) !== 'folder') throw new Error(`${rule.path}: no such folder of foreground masks`);
  const paths = await masksIn(rule.path);
  if (!paths.size) throw new Error(`${rule.path} holds no foreground masks`);
  const list = [...paths.values()];
  const evidence = await mapConcurrently(list, async (path) =>
    maskEvidence(await decodeMask(await readBytes(path), path)),
  );
  const classes = !list.some((path) => ['.jpg', '.jpeg'].includes(extensionOf(path)));
  const { encoding, text, usual } = decideEncoding(evidence, { classes, dark: true });
  return { paths, encoding, warnings: usual ? [] : [`foreground masks: ${text}`] };
}

/** A foreground mask, 0/1 in one channel. */
async function ownMask(path: string, encoding: MaskEncoding): Promise<Image> {
  const pixels = await decodeMask(await readBytes(path), path);
  return { width: pixels.width, height: pixels.height, channels: 1, data: defectivePixels(pixels, encoding) };
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
  const warnings = [...own.warnings];
  const loaded = await mapConcurrently(
    samples,
    async ({ path, stem }) => {
      if (!tiling && rule.kind === 'none') return [{ path, image: await loadResized(path, size), mask: undefined }];
      const image = await decodeImage(await readBytes(path), path);
      const maskPath = own.paths.get(stem);
      if (rule.kind === 'folder' && !maskPath) warnings.push(`${path}: no foreground mask ${stem}.png in ${rule.path}`);
      const mask = maskPath ? await ownMask(maskPath, own.encoding) : undefined;
      const parts = tiling ? tileGrid(image.width, image.height, tiling) : [undefined];
      return parts.map((tile) => {
        const part = tile ? crop(image, tile) : image;
        const ownPart = tile && mask ? crop(mask, tile) : mask;
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
