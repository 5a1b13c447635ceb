/** Losses of the two training stages, composed from engine operations. */

import type { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
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

/**
 * Feature distillation: per level the mean cosine distance plus the mean squared error, so that a small
 * teacher learns both the direction and the scale of a big one's features.
 *
 * @returns [1]
 */
export function featureDistillationLoss(
  tape: Tape,
  teacher: readonly Tensor[],
  student: readonly Tensor[],
): Tensor {
  const terms: Tensor[] = [];
  teacher.forEach((target, level) => {
    terms.push(mean(tape, cosineDistance(tape, target, student[level] as Tensor).map));
    terms.push(meanSquareError(tape, student[level] as Tensor, target));
  });
  return weightedSum(
    tape,
    terms,
    terms.map(() => 1),
  );
}
