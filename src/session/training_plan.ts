/** The plan of a training on a data set, and what follows from it alone. */

import { spread } from '../base/lists.ts';
import type { Augmentation } from '../data/augment.ts';
import type { Dataset, Sample } from '../data/dataset.ts';
import { type ForegroundRule, foregroundRuleFor } from '../data/foreground.ts';
import type { RegionOfInterest } from '../data/region.ts';
import { splitByName } from '../data/split.ts';
import type { Tiling } from '../data/tiles.ts';
import type { UnreadableFiles } from '../data/unreadable.ts';
import type { Labels } from '../eval/evaluate.ts';
import type { ThresholdRule } from '../eval/thresholds.ts';
import { usesAnomalies } from '../model/method.ts';
import { type Mode, methodNamed } from '../model/methods.ts';
import type { TextureSource } from '../synthetic/anomaly.ts';
import type { SafetensorsFile } from '../weights/safetensors.ts';
import {
  epochsFor,
  fewImages,
  foldsFor,
  holdOutLeast,
  holdOutShare,
  paperSchedule,
  withCopies,
} from './training_defaults.ts';

/** What a training is asked for, checked as far as that needs no data. */
export interface TrainingPlan {
  readonly backbone: string;
  readonly mode: Mode;
  readonly imageSize: number;
  readonly batch: number;
  readonly epochs: readonly [number, number];
  readonly seed: number;
  /** Share of the patches that a method with a bank keeps; undefined: the default. */
  readonly coreset: number | undefined;
  readonly limit: number | undefined;
  /** Name of the teacher's file. */
  readonly teacherPath: string;
  readonly teacher: SafetensorsFile;
  readonly textures: TextureSource;
  /** Undefined: by the data set's category. */
  readonly foreground: ForegroundRule | undefined;
  readonly tiling: Tiling | undefined;
  /** Which part of every image is inspected; undefined: all of it. */
  readonly region?: RegionOfInterest | undefined;
  /**
   * Undefined: F1-max with a test set, else, and for a robust training, the largest score of held-out good
   * images.
   */
  readonly threshold: ThresholdRule | undefined;
  /**
   * Share of the good images that is kept from training for the threshold; undefined: .1 of many where there
   * is no test set, and for a robust training.
   */
  readonly holdOut: number | undefined;
  /** Parts that few good images are left out in for the threshold; 0: none are. */
  readonly folds: number;
  readonly labels: Labels;
  readonly select: 'last' | 'test-oracle';
  /** What may change in changed copies of the training images; undefined: there are no copies. */
  readonly augment?: readonly Augmentation[] | undefined;
  /** What changes in every training image, drawn anew in every epoch; undefined: nothing. */
  readonly robust?: readonly Augmentation[] | undefined;
  /** Share of the good images that is left out, the most suspicious ones; undefined: none. */
  readonly dropSuspects?: number | undefined;
  /** Measure on the test set every so many epochs, for the report alone; undefined: never. */
  readonly curve?: number | undefined;
  /** What of the textures, the training and the test images cannot be read. */
  readonly unreadable: UnreadableFiles;
}

/** The rule for foregrounds that a plan comes to; only synthetic anomalies ask where the product is. */
export function foregroundOf(
  plan: Pick<TrainingPlan, 'mode' | 'foreground'>,
  dataset: Dataset,
): ForegroundRule {
  if (!usesAnomalies(methodNamed(plan.mode))) return { kind: 'none' };
  return plan.foreground ?? foregroundRuleFor(dataset.format, dataset.name);
}

/** The good photographs that a plan takes, held-out ones too. */
export function chosenGood(plan: Pick<TrainingPlan, 'limit'>, dataset: Dataset): Sample[] {
  return plan.limit ? spread(dataset.train, plan.limit) : [...dataset.train];
}

/** Images that the data set itself keeps for the threshold, where the plan takes them. */
export function setApart(
  plan: Pick<TrainingPlan, 'holdOut'>,
  { validation = [] }: Dataset,
): readonly Sample[] {
  return plan.holdOut === undefined ? validation : [];
}

export interface GoodSplit {
  readonly train: readonly Sample[];
  /** Kept apart from the training, for the threshold. */
  readonly heldOut: readonly Sample[];
}

/**
 * Good images for training and, apart from them, for the threshold: those that the data set sets apart, else
 * a share.
 *
 * @throws Error where a share is asked for and there are fewer than two images
 */
export function splitGood(
  plan: Pick<TrainingPlan, 'limit' | 'holdOut' | 'seed' | 'robust'>,
  dataset: Dataset,
): GoodSplit {
  const chosen = chosenGood(plan, dataset);
  const apart = setApart(plan, dataset);
  if (apart.length) return { train: chosen, heldOut: apart };
  // A robust model's threshold comes from good images alone, whatever the test set holds.
  const wanted = !dataset.test.length || plan.robust !== undefined;
  const automatic = wanted && chosen.length >= holdOutLeast ? holdOutShare : 0;
  const share = plan.holdOut ?? automatic;
  if (!share) return { train: chosen, heldOut: [] };
  if (chosen.length < 2)
    throw new Error('--hold-out needs two good images: it keeps one and leaves one for training');
  const { drawn, rest } = splitByName(chosen, share, plan.seed, 'hold-out');
  return { train: rest, heldOut: drawn };
}

/** Whether the threshold comes from good images alone. */
function drawsFromGood(
  { threshold, robust }: Pick<TrainingPlan, 'threshold' | 'robust'>,
  { test }: Dataset,
): boolean {
  const good = test.filter(({ defect }) => defect === 'good').length;
  const both = good > 0 && good < test.length;
  return threshold ? !['f1', 'value'].includes(threshold.kind) : !both || robust !== undefined;
}

/** A plan before it is known how many images there are. */
export interface AskedPlan extends Omit<TrainingPlan, 'epochs' | 'folds'> {
  /** Undefined: by the number of images. */
  readonly epochs: readonly [number, number] | undefined;
}

/**
 * What a plan leaves to the number of good images. Tiles and changed copies make many of few: then the epochs
 * are the usual ones.
 */
export function adaptedTo(
  plan: Omit<AskedPlan, 'teacher' | 'unreadable'>,
  dataset: Dataset,
): Pick<TrainingPlan, 'epochs' | 'folds'> {
  const { train, heldOut } = splitGood(plan, dataset);
  const images = plan.augment ? withCopies(train.length) : train.length;
  const count = plan.tiling ? Math.max(fewImages, images) : images;
  const wanted = !heldOut.length && plan.holdOut === undefined && drawsFromGood(plan, dataset);
  return {
    epochs: plan.epochs ?? epochsFor(count, { epochs: paperSchedule.epochs, batch: plan.batch }),
    folds: wanted ? foldsFor(train.length) : 0,
  };
}

/** What tells a run on these images from others: tiles, and how many images were held out or left out. */
export function variantOf({ tiling }: Pick<TrainingPlan, 'tiling'>, heldOut: number, suspects = 0): string {
  return [
    tiling ? `tiles ${tiling.size}/${tiling.overlap}` : '',
    heldOut ? `${heldOut} held out` : '',
    suspects ? `suspects left out: ${suspects}` : '',
  ]
    .filter(Boolean)
    .join(', ');
}
