/** Good images as training sees them: resized, with their foregrounds; cut into tiles where asked. */

import { decodedBytes, decodeMask, exists, loadResized, readBytes } from '#platform';
import { mapConcurrently } from '../base/concurrently.ts';
import { InvalidDatasetError } from '../base/errors.ts';
import type { Image } from '../image/image.ts';
import { resizeBicubic } from '../image/resize.ts';
import type { Sample } from './dataset.ts';
import { extensionOf, masksIn } from './files.ts';
import { type ForegroundRule, foreground } from './foreground.ts';
import { withBands, withImage } from './image_files.ts';
import { decideEncoding } from './mask_encoding.ts';
import { classEncoding, defectivePixels, type MaskEncoding, maskEvidence } from './mask_pixels.ts';
import { type RegionOfInterest, rasterizeRegion, regionPixels } from './region.ts';
import { crop, readTiles, type Tiling } from './tiles.ts';
import { reading, UnreadableFiles } from './unreadable.ts';

export interface TrainingImages {
  /** Those of the samples that could be read. */
  readonly samples: readonly Sample[];
  /** Resized to size x size. */
  readonly images: readonly Image[];
  /** The file of each image, or of each tile. */
  readonly paths: readonly string[];
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
 * The user's masks. Every shade above black is foreground; in JPEG files the brighter half; where the alpha
 * channel decides, what is opaque. They are never taken as inverted, because a product often fills the image.
 */
async function ownMasks(rule: ForegroundRule, unreadable: UnreadableFiles): Promise<OwnMasks> {
  if (rule.kind !== 'folder') return { paths: new Map(), encoding: classEncoding, warnings: [] };
  if ((await exists(rule.path)) !== 'folder')
    throw new InvalidDatasetError(`${rule.path}: no such folder of foreground masks`);
  const found = await masksIn(rule.path);
  if (!found.size) throw new InvalidDatasetError(`${rule.path} holds no foreground masks`);
  unreadable.expect(found.size);
  const seen = await mapConcurrently([...found], ([, path]) =>
    unreadable.skip(() =>
      reading(path, async () => maskEvidence(await decodeMask(await readBytes(path), path))),
    ),
  );
  const evidence = seen.flatMap((mask) => mask ?? []);
  if (!evidence.length)
    throw new InvalidDatasetError(
      `none of the ${found.size} foreground masks can be read: ${unreadable.summary}`,
    );
  const paths = new Map([...found].filter((_, i) => seen[i]));
  const list = [...paths.values()];
  const classes = !list.some((path) => ['.jpg', '.jpeg'].includes(extensionOf(path)));
  const { encoding, text, usual } = decideEncoding(evidence, { classes, dark: true });
  return { paths, encoding, warnings: usual ? [] : [`foreground masks: ${text}`] };
}

/** A foreground mask, 0/1 in one channel. */
async function ownMask(path: string, encoding: MaskEncoding): Promise<Image> {
  const pixels = await reading(path, async () => decodeMask(await readBytes(path), path));
  return { width: pixels.width, height: pixels.height, channels: 1, data: defectivePixels(pixels, encoding) };
}

interface Loaded {
  readonly image: Image;
  readonly mask: Uint8Array | undefined;
}

/**
 * The images whose foreground is empty.
 *
 * @throws InvalidDatasetError where most are: stage I would learn nothing
 */
export function emptyForegrounds(
  paths: readonly string[],
  masks: readonly Uint8Array[],
  region: RegionOfInterest | undefined,
): string[] {
  const empty = paths.filter((_, i) => !masks[i]?.includes(1));
  if (empty.length > paths.length / 2)
    throw new InvalidDatasetError(
      `the foreground ${region ? 'in the region of interest ' : ''}is empty on ${empty.length} of ` +
        `${paths.length} images (the first is ${empty[0]}): choose another rule with --foreground; ` +
        'aand preview shows what a rule does',
    );
  return empty;
}

interface Options {
  readonly foreground: ForegroundRule;
  readonly tiling?: Tiling | undefined;
  /** Which part of every image is inspected: nothing else is foreground. */
  readonly region?: RegionOfInterest | undefined;
  readonly onProgress?: (done: number, total: number) => void;
  /** Is told files that cannot be read; without it the first one is an error. */
  readonly unreadable?: UnreadableFiles;
}

/** What is 1 in both masks. */
export function both(mask: Uint8Array, inspected: Uint8Array | undefined): Uint8Array {
  return inspected ? mask.map((value, i) => (inspected[i] ? value : 0)) : mask;
}

/**
 * Loads images for training. An unreadable image is left out. Where a foreground mask is unreadable or
 * missing, the whole image counts as foreground. Tiles without a pixel in the region of interest are left
 * out.
 *
 * @throws Error where no image can be read, too many cannot, or most foregrounds are empty: stage I would
 *   learn nothing
 */
export async function loadTrainingImages(
  samples: readonly Sample[],
  size: number,
  options: Options,
): Promise<TrainingImages> {
  const { foreground: rule, tiling, region, unreadable = new UnreadableFiles({ strict: true }) } = options;
  const inspected = region && regionPixels(region, size, size);
  const own = await ownMasks(rule, unreadable);
  const warnings = [...own.warnings];
  const parts = async ({ path, stem }: Sample): Promise<Loaded[]> => {
    const maskPath = own.paths.get(stem);
    if (rule.kind === 'folder' && !maskPath)
      warnings.push(`${path}: no foreground mask ${stem}.png in ${rule.path}`);
    const maskBytes = maskPath ? await decodedBytes(maskPath).catch(() => 0) : 0;
    const readMask = async () => maskPath && unreadable.skip(() => ownMask(maskPath, own.encoding));
    const see = (part: Image, ownPart: Image | undefined, counted: Uint8Array | undefined): Loaded => ({
      image: resizeBicubic(part, size, size),
      mask: both(foreground(part, rule, size, ownPart), counted),
    });
    if (!tiling)
      return withImage(
        path,
        async (image) => [see(image, (await readMask()) || undefined, inspected)],
        maskBytes,
      );
    return withBands(
      path,
      async (bands) => {
        const mask = (await readMask()) || undefined;
        const tiles: Loaded[] = [];
        const { width, height } = bands;
        for await (const { tile, image } of readTiles(bands, tiling)) {
          const counted = region && rasterizeRegion(region, size, size, { ...tile, of: { width, height } });
          if (counted?.includes(1) !== false) tiles.push(see(image, mask && crop(mask, tile), counted));
        }
        return tiles;
      },
      maskBytes,
    );
  };
  unreadable.expect(samples.length);
  const loaded = await mapConcurrently(
    samples,
    (sample) =>
      unreadable.skip(async (): Promise<Loaded[]> => {
        if (tiling || rule.kind !== 'none') return parts(sample);
        return [{ image: await reading(sample.path, () => loadResized(sample.path, size)), mask: inspected }];
      }),
    options.onProgress,
  );
  const readable = samples.filter((_, i) => loaded[i]);
  if (!readable.length)
    throw new InvalidDatasetError(
      `none of the ${samples.length} training images can be read: ${unreadable.summary}`,
    );
  const all = loaded.flatMap((list) => list ?? []);
  const images = all.map(({ image }) => image);
  const paths = samples.flatMap(({ path }, i) => (loaded[i] ?? []).map(() => path));
  if (!all.length)
    throw new InvalidDatasetError('no tile of the training images lies in the region of interest');
  if (rule.kind === 'none' && !region)
    return { samples: readable, images, paths, foregrounds: undefined, warnings };
  const masks = all.map(({ mask }) => mask as Uint8Array);
  for (const path of emptyForegrounds(paths, masks, region))
    warnings.push(`${path}: the foreground is empty`);
  return { samples: readable, images, paths, foregrounds: masks, warnings };
}
