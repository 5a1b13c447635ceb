/** What a training of a detector is given, and its check before anything is allocated. */

import { InvalidArgumentError } from '../base/errors.ts';
import type { Augmentation } from '../data/augment.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import type { Image, ImageInput } from '../image/image.ts';
import { checkImages } from '../image/image.ts';
import { type Losses, needStudent, type Stage } from '../model/method.ts';
import { type Mode, methodNamed } from '../model/methods.ts';
import { checkImageSize, type Teacher } from '../model/teacher.ts';
import type { TextureSource } from '../synthetic/anomaly.ts';
import type { SafetensorsFile } from '../weights/safetensors.ts';
import type { CheckpointStorage } from './checkpoint.ts';
import type { Run } from './run.ts';
import { checkLearningRate, type Progress } from './trainer.ts';

/** An epoch of a training that is over. */
export interface FinishedEpoch {
  readonly stage: Stage['number'];
  /** Counted from 1. */
  readonly epoch: number;
  /** Means over the epoch. */
  readonly losses: Losses;
}

/** What a detector is trained from, and how. */
export interface TrainDetectorOptions {
  readonly engine: Engine;
  readonly backbone: Teacher;
  readonly mode: Mode;
  /** The frozen teacher: torchvision's names, with or without what training scripts put before them. */
  readonly teacher: SafetensorsFile;
  readonly teacherName: string;
  /** Good images, already resized to imageSize x imageSize. */
  readonly images: readonly ImageInput[];
  /** Their files, so that messages can name them. */
  readonly imageNames?: readonly string[];
  /**
   * 0/1 [imageSize, imageSize] of each image: where synthetic anomalies may fall; undefined for everywhere.
   */
  readonly foregrounds?: readonly Uint8Array[] | undefined;
  /** What changes in every image, drawn anew in every epoch; undefined: nothing. */
  readonly robust?: readonly Augmentation[] | undefined;
  /** What else tells this run from others, for checkpoints: tiles, images that were held out. */
  readonly variant?: string;
  /**
   * A detector to go on from instead of fresh weights: stage I is skipped, stage II changes what it has
   * learned.
   */
  readonly start?: SafetensorsFile | undefined;
  readonly textures: TextureSource;
  readonly imageSize: number;
  readonly batch: number;
  /** Epochs of stage I and II. */
  readonly epochs: readonly [number, number];
  readonly seed: number;
  readonly baseRate?: number;
  /** Share of the patches that a method with a bank keeps, above 0 and at most 1; default: `coresetSize`. */
  readonly coreset?: number | undefined;
  /** Memory for cached targets in stage II; above it they are recomputed in every step. */
  readonly cacheBytes?: number;
  /** How much of that may lie on the device instead of the host; 1 GiB by default. */
  readonly deviceCacheBytes?: number;
  readonly checkpoint?:
    | { readonly stage1: CheckpointStorage; readonly stage2: CheckpointStorage }
    | undefined;
  /** What `describeRun` says of these options, where it is known already. */
  readonly run?: Run;
  readonly resume?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Told after every batch how far the training is. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Told the losses of each stage's epochs that a checkpoint has finished. */
  readonly onResume?: ((stage: string, history: readonly Losses[]) => void) | undefined;
  /**
   * Called after each epoch of either stage; the store holds its parameters. A resumed training calls it
   * again for the last epoch of each stage's checkpoint, and for those after it.
   */
  readonly afterEpoch?: ((finished: FinishedEpoch, store: ParameterStore) => Promise<void>) | undefined;
}

export type CheckedOptions = Omit<TrainDetectorOptions, 'images'> & { readonly images: readonly Image[] };

function checkWhole(value: unknown, what: string, least: number): void {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least)
    throw new InvalidArgumentError(`${what} is ${value}, expected a whole number of at least ${least}`);
}

function checkForegrounds(foregrounds: unknown, images: number, size: number): void {
  if (!Array.isArray(foregrounds))
    throw new InvalidArgumentError('foregrounds: expected a list with one mask per image');
  if (foregrounds.length !== images)
    throw new InvalidArgumentError(`${foregrounds.length} foregrounds for ${images} images`);
  foregrounds.forEach((mask: unknown, i) => {
    if (!(mask instanceof Uint8Array) || mask.length !== size * size)
      throw new InvalidArgumentError(
        `foreground ${i + 1} of ${images}: expected a Uint8Array of ${size * size} values ` +
          `0 or 1 (${size} x ${size})` +
          (mask instanceof Uint8Array ? `, it has ${mask.length}` : ''),
      );
  });
}

/** @throws Error that says what was expected and what was found */
export function checkOptions(o: TrainDetectorOptions): CheckedOptions {
  o.engine.check();
  checkImageSize(o.imageSize);
  const images = checkImages(o.images, 'training image');
  if (!images.length) throw new InvalidArgumentError('there are no good images to learn from');
  images.forEach(({ width, height }, i) => {
    if (width !== o.imageSize || height !== o.imageSize)
      throw new InvalidArgumentError(
        `training image ${i + 1} of ${images.length} has ${width} x ${height} pixels, ` +
          `expected ${o.imageSize} x ${o.imageSize}: ` +
          'images must be resized first (loadResized, preprocess)',
      );
  });
  if (o.foregrounds !== undefined) checkForegrounds(o.foregrounds, images.length, o.imageSize);
  if (o.robust) needStudent(methodNamed(o.mode), 'images cannot change from epoch to epoch');
  checkWhole(o.batch, 'the batch', 1);
  if (!Array.isArray(o.epochs) || o.epochs.length !== 2)
    throw new InvalidArgumentError('the epochs: expected two numbers, of stage I and of stage II');
  for (const [i, epochs] of o.epochs.entries())
    checkWhole(epochs, `the number of epochs of stage ${'I'.repeat(i + 1)}`, 0);
  if (typeof o.textures?.texture !== 'function' || !(o.textures.count > 0))
    throw new InvalidArgumentError(
      'there are no textures: expected a source of them, for instance proceduralTextures()',
    );
  if (o.baseRate !== undefined) checkLearningRate(o.baseRate);
  if (o.coreset !== undefined && !(o.coreset > 0 && o.coreset <= 1))
    throw new InvalidArgumentError(
      `the share of the coreset is ${o.coreset}, expected above 0 and at most 1`,
    );
  return { ...o, images };
}
