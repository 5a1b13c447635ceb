/**
 * Scores of few good images, each by a detector that learned the others: the images are left out in parts,
 * one after the other. So every image is trained on and still says something of the threshold.
 */

import { InvalidArgumentError } from '../base/errors.ts';
import { append, type Range } from '../base/lists.ts';
import type { Sample } from '../data/dataset.ts';
import type { RegionOfInterest } from '../data/region.ts';
import { MapRunner } from '../detector/map_runner.ts';
import type { CalibrationScore } from '../detector/settings.ts';
import type { TestedImage, TestSet } from '../eval/evaluate.ts';
import { checkOptions, type TrainDetectorOptions } from '../train/check_options.ts';
import { trainDetector } from '../train/train_detector.ts';
import type { Progress } from '../train/trainer.ts';

/** The scores of images. */
export function scoresOf(images: readonly TestedImage[]): number[] {
  return images.map(({ score }) => score);
}

/** What images that were left out say. */
export interface LeftOutScores {
  readonly scores: readonly CalibrationScore[];
  /** What the threshold takes the images by, in the order of the scores. */
  readonly goodScores: readonly number[];
  readonly imageRange: Range;
  readonly pixelRange: Range;
}

/** How images are left out. */
export interface LeaveOutOptions {
  /** The training of all images; its checkpoints are not used. */
  readonly training: TrainDetectorOptions;
  /** Good images; `training.imageNames` are their paths, of copies and tiles too. */
  readonly samples: readonly Sample[];
  /** Two or more, at most as many as there are samples. */
  readonly parts: number;
  /** Which part of every image counts; undefined: all of it. */
  readonly region?: RegionOfInterest | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Scores samples; the result is closed here. */
  score(runner: MapRunner, samples: readonly Sample[], label: string): Promise<TestSet>;
  /** Of a robust training: what the threshold takes scored images by. */
  readonly underChange?:
    | ((
        runner: MapRunner,
        scored: readonly TestedImage[],
        samples: readonly Sample[],
      ) => Promise<readonly number[]>)
    | undefined;
}

/** The training without some of its images, for as many epochs. */
function without(training: TrainDetectorOptions, left: ReadonlySet<string>): TrainDetectorOptions {
  const { images, imageNames = [], foregrounds } = checkOptions(training);
  const kept = [...images.keys()].filter((i) => !left.has(imageNames[i] as string));
  const pick = <T>(list: readonly T[]) => kept.map((i) => list[i] as T);
  const { checkpoint: _, run: __, ...others } = training;
  return {
    ...others,
    images: pick(images),
    imageNames: pick(imageNames),
    foregrounds: foregrounds && pick(foregrounds),
    resume: false,
    onResume: undefined,
    afterEpoch: undefined,
  };
}

/**
 * Trains a detector for each part of the samples without that part, and scores the part with it. The images
 * of a part are spread over the list.
 *
 * @throws InvalidArgumentError where an image is of none of the samples; whatever a training throws
 */
export async function scoreLeftOut(o: LeaveOutOptions): Promise<LeftOutScores> {
  const { training, samples, parts } = o;
  const paths = new Set(samples.map(({ path }) => path));
  const stranger = training.imageNames?.find((name) => !paths.has(name));
  if (training.imageNames?.length !== training.images.length || stranger !== undefined)
    throw new InvalidArgumentError(
      `images are left out by their files: ${stranger ?? 'the names'} of the training images ` +
        'must be the paths of the good images',
    );
  const { engine, backbone, mode, imageSize } = training;
  const scores: CalibrationScore[] = [];
  const goodScores: number[] = [];
  let [imageRange, pixelRange]: (Range | undefined)[] = [];
  for (let part = 0; part < parts; part++) {
    const left = samples.filter((_, i) => i % parts === part);
    const label = `left out ${part + 1} of ${parts}`;
    const { store } = await trainDetector({
      ...without(training, new Set(left.map(({ path }) => path))),
      onProgress: (progress) => o.onProgress?.({ ...progress, stage: `${label}, ${progress.stage}` }),
    });
    const runner = new MapRunner(engine, store, backbone, mode, imageSize, o.region);
    try {
      const results = await o.score(runner, left, label);
      try {
        const evaluation = await results.evaluate();
        imageRange = joined(imageRange, evaluation.imageRange);
        pixelRange = joined(pixelRange, evaluation.pixelRange);
        for (const { score, path } of results.images)
          scores.push({ score, anomalous: false, path, source: 'left-out' });
        const changed = await o.underChange?.(runner, results.images, left);
        append(goodScores, changed ?? scoresOf(results.images));
      } finally {
        await results.close();
      }
    } finally {
      await runner.destroy();
      store.destroy();
    }
  }
  return { scores, goodScores, imageRange: imageRange as Range, pixelRange: pixelRange as Range };
}

/** The range of both. */
export function joined(a: Range | undefined, b: Range): Range {
  return a ? { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) } : b;
}
