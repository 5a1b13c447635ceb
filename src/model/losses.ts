/** Losses of the two training stages, composed from engine operations. */

import type { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { type BatchNormParameters, batchNorm } from '../engine/ops/batch_norm.ts';
import { cosineDistance } from '../engine/ops/cosine_distance.ts';
import { mean, meanSquareError, weightedSum } from '../engine/ops/reduce.ts';
import { topkMean } from '../engine/ops/topk_mean.ts';

/** Positions per image and level that hard mining keeps (method, 3.12). */
export const hardPositions = 10;

/**
 * HKD loss (method, 3.12): sum over levels of the mean over images of [mean of the 10 largest per-position
 * cosine distances + distance of the flattened features]. Without `hard` it is RD4AD's loss: the flattened
 * distance alone (3.17).
 *
 * @param teacher targets [N,n,n,C] per level; no gradient flows into them unless it is asked for
 * @param student reconstructions, same shapes
 * @returns [1]
 */
export function hardDistillationLoss(
  tape: Tape,
  teacher: readonly Tensor[],
  student: readonly Tensor[],
  { hard }: { hard: boolean },
): Tensor {
  const terms: Tensor[] = [];
  teacher.forEach((target, level) => {
    const { map, flat } = cosineDistance(tape, target, student[level] as Tensor);
    if (hard) terms.push(mean(tape, topkMean(tape, map, hardPositions)));
    terms.push(mean(tape, flat));
  });
  return weightedSum(
    tape,
    terms,
    terms.map(() => 1),
  );
}

/** A level of a big teacher, and what a small one makes of it. */
export interface LevelPair {
  /** [N,n,n,C] */
  readonly target: Tensor;
  /** Of the same shape. */
  readonly learned: Tensor;
  /** Mean and variance of the level's channels over photographs, and ones and zeros. */
  readonly statistics: BatchNormParameters;
}

/** How far a small teacher is from a big one at one level; both are 0 where it is the same, 1 at chance. */
export interface LevelDistance {
  /** Mean over positions of 1 - cosine: what a detector on these features sees. [1] */
  readonly cosine: Tensor;
  /** Mean square error of the features normalised per channel: every channel counts alike. [1] */
  readonly error: Tensor;
}

/** The distances at one level. */
export function levelDistance(tape: Tape, { target, learned, statistics }: LevelPair): LevelDistance {
  const normalized = (x: Tensor) => batchNorm(tape, x, statistics, { training: false });
  return {
    cosine: mean(tape, cosineDistance(tape, target, learned).map),
    error: meanSquareError(tape, normalized(learned), normalized(target)),
  };
}

/**
 * Feature distillation: the sum over levels of both distances. The cosine is what detectors measure; the
 * normalised error keeps the scale, and gives every level and every channel the same weight, as EfficientAD
 * (Batzner et al., 2024) does for its distilled networks.
 *
 * @returns [1]
 */
export function featureDistillationLoss(tape: Tape, levels: readonly LevelDistance[]): Tensor {
  const terms = levels.flatMap(({ cosine, error }) => [cosine, error]);
  return weightedSum(
    tape,
    terms,
    terms.map(() => 1),
  );
}
