/** What is measured of a training before it begins, and how: shared by all methods. */

import { RandomStream } from '../base/random.ts';
import type { MapRunner } from '../detector/map_runner.ts';
import type { Image } from '../image/image.ts';
import type { Mode } from '../model/methods.ts';
import type { TrainDetectorOptions } from '../train/check_options.ts';
import type { Clock } from './ports.ts';

/** A part of a training, in the order in which they run. */
export interface TrainingPart {
  /**
   * `stage I`, `stage II`, or `features`, `coreset`, `bank` of a method that keeps features; `testing`; `left
   * out 1 of 2` and so on.
   */
  readonly name: string;
  readonly seconds: number;
}

/** What is measured. */
export interface MeasuredJob
  extends Pick<
    TrainDetectorOptions,
    | 'engine'
    | 'backbone'
    | 'teacher'
    | 'teacherName'
    | 'textures'
    | 'robust'
    | 'imageSize'
    | 'batch'
    | 'epochs'
    | 'seed'
    | 'coreset'
  > {
  readonly mode: Mode;
  /** Images that are learned, copies included. */
  readonly images: number;
  /** Parts that images are left out in for the threshold; 0 or 1: none are. */
  readonly folds: number;
  /** Images that are scored at the end, beside those that are left out. */
  readonly scored: number;
  /** Good images that are scored where they are left out. */
  readonly photographs: number;
}

/** How the caller's training runs, as far as it takes time. */
export interface MeasurePorts {
  readonly checkpoint?: TrainDetectorOptions['checkpoint'];
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
  /** As in the training: after each epoch of the last stage. */
  readonly afterEpoch?: ((runner: MapRunner, images: readonly Image[]) => Promise<void>) | undefined;
  /** Told what is done, from 0 to 1: compiling comes before the first step of each stage. */
  readonly onProgress?: ((share: number) => void) | undefined;
}

/** Images that a detector of a left-out part learns. */
export function imagesOfParts({ images, folds }: Pick<MeasuredJob, 'images' | 'folds'>): number {
  return folds > 1 ? Math.max(1, Math.round(images * (1 - 1 / folds))) : images;
}

/** An image of noise: what it shows does not change how long it takes. */
export function noise(side: number, index: number): Image {
  const random = new RandomStream('measured training', index);
  const data = new Uint8Array(3 * side * side);
  const words = new Uint32Array(data.buffer, 0, data.length >> 2);
  for (let i = 0; i < words.length; i++) words[i] = random.bits();
  return { width: side, height: side, channels: 3, data };
}

/** Seconds that judging takes: until the first image, and per image. */
export interface ScoringTimes {
  readonly start: number;
  readonly image: number;
}

/** Images that are judged for {@link measureScoring}. */
const judgedImages = 2;

/** Measures how long judging an image takes. The programs of `runner` stay compiled. */
export async function measureScoring(
  runner: MapRunner,
  image: Image,
  now: () => number,
): Promise<ScoringTimes> {
  const begun = now();
  await runner.run([image]);
  const compiled = now();
  for (let i = 0; i < judgedImages; i++) await runner.run([image]);
  const perImage = (now() - compiled) / judgedImages;
  return { start: Math.max(0, compiled - begun - perImage), image: perImage };
}
