/** The use case of a ranking: which training images look like none of the others. */

import { loadResized } from '#platform';
import { mapConcurrently } from '../base/concurrently.ts';
import { InvalidDatasetError } from '../base/errors.ts';
import type { Sample } from '../data/dataset.ts';
import { type RegionOfInterest, regionPixels } from '../data/region.ts';
import { reading, UnreadableFiles } from '../data/unreadable.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import type { Teacher } from '../model/teacher.ts';
import {
  fewestCompared,
  findSuspects,
  rankedSuspects,
  type Suspicion,
  suspectSize,
} from '../train/suspects.ts';
import type { SafetensorsFile } from '../weights/safetensors.ts';
import type { Reporter } from './ports.ts';

/** A training image with how unlike the others it is. */
export interface RankedImage extends Suspicion {
  readonly sample: Sample;
}

export interface RankingOptions {
  readonly backbone: Teacher;
  readonly teacher: SafetensorsFile;
  readonly teacherName: string;
  /** An image that cannot be read is an error; else it is left out of the ranking. */
  readonly strict?: boolean;
  /** Which part of every image counts; undefined: all of it. */
  readonly region?: RegionOfInterest | undefined;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Ranks images, the most suspicious first. Whole images are compared, also those that a training cuts into
 * tiles.
 *
 * @throws Error where fewer than three can be read; Interrupted and AbortError where the signal is raised;
 *   OutOfMemoryError; DeviceLostError
 */
export async function rankImages(
  engine: Engine,
  samples: readonly Sample[],
  { backbone, teacher, teacherName, strict = false, region, reporter, signal }: RankingOptions,
): Promise<RankedImage[]> {
  const unreadable = new UnreadableFiles({ strict });
  unreadable.expect(samples.length);
  const loading = reporter.counting('loading to compare');
  const loaded = await mapConcurrently(
    samples,
    (sample) =>
      unreadable.skip(async () => ({
        sample,
        image: await reading(sample.path, () => loadResized(sample.path, suspectSize)),
      })),
    (done, total) => {
      signal?.throwIfAborted();
      loading(done, total);
    },
  );
  const readable = loaded.flatMap((item) => item ?? []);
  if (readable.length < fewestCompared)
    throw new InvalidDatasetError(
      `${readable.length} readable images are too few to find suspects among: each is compared with the ` +
        `others, so ${fewestCompared} are needed at least`,
    );
  const suspicions = await findSuspects({
    engine,
    images: readable.map(({ image }) => image),
    imageSize: suspectSize,
    backbone,
    teacher,
    teacherName,
    inspected: region && regionPixels(region, suspectSize, suspectSize),
    signal,
    onFeatures: reporter.counting('features'),
    onCompared: reporter.counting('comparing'),
  });
  reporter.stop();
  return rankedSuspects(suspicions).map((i) => ({
    ...(suspicions[i] as Suspicion),
    sample: (readable[i] as (typeof readable)[number]).sample,
  }));
}

/**
 * How many of the images a share is.
 *
 * @throws Error where none would be left
 */
export function suspectCount(share: number, images: number): number {
  const count = Math.round(share * images);
  if (count >= images)
    throw new InvalidDatasetError(
      `--drop-suspects ${share} leaves out all of the ${images} good images: give a smaller share`,
    );
  return count;
}

/** Deviations of most scores from their median that a clear outlier is above it. */
const clearly = 5;
/** Median deviation of a normal distribution, as a share of its standard deviation. */
const medianDeviation = 0.6745;

/** How many of the first images of a ranking stand out clearly of all others. */
export function clearOutliers(scores: readonly number[]): number {
  const middle = (values: readonly number[]) =>
    [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
  const median = middle(scores);
  const deviation = middle(scores.map((score) => Math.abs(score - median))) / medianDeviation;
  return scores.filter((score) => score > median + clearly * deviation).length;
}
