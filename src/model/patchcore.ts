/**
 * PatchCore (Roth et al., Towards Total Recall in Industrial Anomaly Detection, CVPR 2022,
 * https://arxiv.org/abs/2106.08265): an image is as anomalous as its patch that lies farthest from the
 * patches of good images. The teacher's second and third levels are averaged over 3 x 3 positions, brought to
 * the grid of the second one and joined.
 */

import type { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { concat } from '../engine/ops/concat.ts';
import { bankScore, nearestRows } from '../engine/ops/nearest.ts';
import { neighbourhoodMean, upsampleFeatures } from '../engine/ops/patches.ts';
import { gaussianBlur, upsampleBilinear } from '../engine/ops/resample.ts';
import { teacherFeatures } from './groups.ts';
import type { MemoryMethod } from './method.ts';
import type { Teacher } from './teacher.ts';

/** Rows of the bank that weigh the score of an image; of a smaller bank all. */
export const scoreNeighbours = 9;

/** Patch features of images [N,S,S,3]: [N,n,n,C], n the side of the second level's grid. */
function patchFeatures(tape: Tape, images: Tensor, teacher: Teacher): Tensor {
  const [, middle, coarse] = teacherFeatures(tape, images, teacher) as [Tensor, Tensor, Tensor];
  const [, height, width] = middle.shape as [number, number, number, number];
  return concat(tape, [
    neighbourhoodMean(tape, middle),
    upsampleFeatures(tape, neighbourhoodMean(tape, coarse), height, width),
  ]);
}

export const patchcore = {
  learns: 'memory',
  name: 'patchcore',
  features: patchFeatures,
  compare(tape, features, bank, size) {
    const nearest = nearestRows(tape, features, bank);
    const neighbours = Math.min(scoreNeighbours, bank.shape[0] as number);
    const upsampled = upsampleBilinear(tape, nearest.distance, size, size);
    return {
      map: gaussianBlur(tape, upsampled),
      score: bankScore(tape, features, bank, nearest, neighbours),
    };
  },
} as const satisfies MemoryMethod;
