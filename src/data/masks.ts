/**
 * The masks of a data set, read as one set before they are used. The result says how they are encoded and
 * names those that do not fit.
 */

import { decodedBytes, decodeMask, imageSize, readBytes } from '#platform';
import { mapConcurrently } from '../base/concurrently.ts';
import { InvalidDatasetError } from '../base/errors.ts';
import { decodingBudget } from '../image/decoding_budget.ts';
import { resizeNearest } from '../image/resize.ts';
import type { Stored } from '../image/stored.ts';
import { type Dataset, masksOf, type Sample } from './dataset.ts';
import { decideEncoding, markedShare, misfit } from './mask_encoding.ts';
import {
  classEncoding,
  defectivePixels,
  type MaskEncoding,
  type MaskEvidence,
  maskEvidence,
  plainEncoding,
} from './mask_pixels.ts';
import type { UnreadableFiles } from './unreadable.ts';

interface Mask {
  readonly sample: Sample;
  readonly path: string;
  readonly evidence: MaskEvidence;
}

/**
 * Decodes a mask and works on its pixels, within this process's bound of memory. The work takes as much
 * memory again.
 */
async function withPixels<T>(path: string, work: (pixels: Stored) => T): Promise<T> {
  const bytes = await decodedBytes(path);
  return decodingBudget.run(2 * bytes, async () => work(await decodeMask(await readBytes(path), path)));
}

async function readMask(sample: Sample, path: string): Promise<Mask | Error> {
  try {
    return { sample, path, evidence: await withPixels(path, maskEvidence) };
  } catch (error) {
    return error as Error;
  }
}

/**
 * A warning where a mask has another shape than its image. Another size of the same shape is right: masks are
 * stretched over their images.
 */
async function shapeWarning({ sample, path, evidence }: Mask): Promise<string[]> {
  let image: { readonly width: number; readonly height: number };
  try {
    image = await imageSize(await readBytes(sample.path), sample.path);
  } catch {
    // An unreadable image is reported where it is read.
    return [];
  }
  const { width, height } = evidence;
  if (width * image.height === height * image.width) return [];
  return [
    `${path}: ${width}x${height}, its image is ${image.width}x${image.height}: they do not lie on each other`,
  ];
}

async function share({ path, evidence }: Mask, encoding: MaskEncoding): Promise<number> {
  const known = markedShare(evidence, encoding);
  if (known !== undefined) return known;
  const marks = await withPixels(path, (pixels) => defectivePixels(pixels, encoding));
  return marks.reduce((sum, value) => sum + value, 0) / marks.length;
}

/** The brightest value of an empty mask, as a part of a sentence. */
function brightest({ evidence }: Mask, { channel, limit }: MaskEncoding): string {
  const value = evidence[channel]?.levels.values.at(-1);
  return value && value <= limit
    ? ` (its brightest value is ${Number(value.toFixed(1))}, ${limit} is needed)`
    : '';
}

/** A sample whose mask cannot be read has none. */
function withoutMask(defective: Sample): Sample {
  const { maskPath, moreMasks, maskOfClasses, saturation, goodMaskPath, ...sample } = defective;
  return sample;
}

/**
 * Reads every mask of a data set and decides how they are encoded.
 *
 * @param unreadableFiles is told masks that cannot be read
 * @returns the data set with the encoding in its samples and in `masks`; `warnings` say what was guessed and
 *   name masks that are empty, full, unreadable, of another shape than their image or unlike the others.
 *   Unreadable masks are left out.
 */
export async function surveyMasks(
  dataset: Dataset,
  onProgress?: (done: number, total: number) => void,
  unreadableFiles?: UnreadableFiles,
): Promise<Dataset> {
  const warnings: string[] = [];
  const unreadable = new Set<Sample>();
  const defective: Mask[] = [];
  const good: Mask[] = [];
  const tested = dataset.test.flatMap((sample) => {
    const { goodMaskPath } = sample;
    const paths = goodMaskPath === undefined ? masksOf(sample) : [goodMaskPath];
    return paths.map((path) => ({ sample, path }));
  });
  const read = await mapConcurrently(tested, ({ sample, path }) => readMask(sample, path), onProgress);
  for (const [i, mask] of read.entries()) {
    const { sample, path } = tested[i] as (typeof tested)[number];
    if (mask instanceof Error) {
      unreadable.add(sample);
      warnings.push(`${mask.message}; ${sample.path} counts as without a mask`);
      unreadableFiles?.add(path, mask);
    } else (sample.maskPath ? defective : good).push(mask);
  }
  const classes = defective.some(({ sample }) => sample.maskOfClasses);
  const { encoding, text, usual } = decideEncoding(
    (defective.length ? defective : good).map(({ evidence }) => evidence),
    { classes },
  );
  if (defective.length && !usual) warnings.push(`masks: ${text}`);
  const [empty, full]: [string[], string[]] = [[], []];
  const found = await mapConcurrently([...defective, ...good], async (mask) => {
    const marked = await share(mask, encoding);
    const { defect, path } = mask.sample;
    if (defect === 'good')
      return marked
        ? [`${mask.path}: marks ${(100 * marked).toFixed(1)} % of ${path}, which counts as good`]
        : [];
    const unlike = misfit(mask.evidence, encoding);
    if (marked === 0) empty.push(mask.path);
    if (marked === 1) full.push(mask.path);
    return [
      ...(await shapeWarning(mask)),
      ...(marked === 0 ? [`${mask.path}: the mask is empty${brightest(mask, encoding)}`] : []),
      ...(marked === 1 ? [`${mask.path}: the mask is full: it marks every pixel`] : []),
      ...(unlike ? [`${mask.path}: ${unlike}`] : []),
    ];
  });
  const summary = {
    count: defective.length,
    encoding: text,
    ...encoding,
    empty: empty.sort(),
    full: full.sort(),
  };
  return {
    ...dataset,
    test: dataset.test.map((sample) => {
      if (unreadable.has(sample)) return withoutMask(sample);
      return sample.maskPath ? { ...sample, maskEncoding: encoding } : sample;
    }),
    masks: defective.length ? summary : null,
    warnings: [...dataset.warnings, ...warnings, ...found.flat()],
  };
}

/**
 * Surveys the masks ({@link surveyMasks}) and refuses a set in which no mask can be right.
 *
 * @throws Error where all masks are empty or all are full: metrics of pixels would be wrong or missing
 */
export async function prepareMasks(
  dataset: Dataset,
  onProgress?: (done: number, total: number) => void,
  unreadableFiles?: UnreadableFiles,
): Promise<Dataset> {
  const surveyed = await surveyMasks(dataset, onProgress, unreadableFiles);
  const { masks } = surveyed;
  for (const what of ['empty', 'full'] as const) {
    const paths = masks?.[what] ?? [];
    if (masks && paths.length === masks.count)
      throw new InvalidDatasetError(
        `all ${paths.length} masks are ${what} (the first is ${paths[0]}), read as: ${masks.encoding}. ` +
          'aand data shows them; give other masks, or take their folder away to test without',
      );
  }
  return surveyed;
}

/**
 * Ground truth at the map's size: 0/1 [height, width]; all zero without a file. Of several masks what any of
 * them marks counts.
 */
export async function loadMask(
  sample: Pick<Sample, 'maskPath' | 'moreMasks' | 'maskOfClasses' | 'maskEncoding'>,
  width: number,
  height = width,
): Promise<Uint8Array> {
  const encoding = sample.maskEncoding ?? (sample.maskOfClasses ? classEncoding : plainEncoding);
  const marks = new Uint8Array(width * height);
  for (const path of masksOf(sample)) {
    const pixels = await decodeMask(await readBytes(path), path);
    const whole = { ...pixels, channels: 1, data: defectivePixels(pixels, encoding) } as const;
    const { data } = resizeNearest(whole, width, height);
    for (const [i, mark] of data.entries()) if (mark) marks[i] = 1;
  }
  return marks;
}
