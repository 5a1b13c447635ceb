/**
 * The families with one candidate today, which all profiles share; a profile that has a better kernel for its
 * device names it in the place of one of these.
 */
import { packedRows, scoreMapTile } from '../../../kernels/sizes.ts';
import type { Toggles } from '../../platform/toggles.ts';
import { itemPerThread, itemPerWorkgroup, type KernelFamilies, oneWorkgroup } from './families.ts';
import { rowKernels } from './gpu_rows.ts';
import type { EngineUse } from './profile.ts';

/** The toggles that an engine's use asks for on any device. */
export function commonToggles({ experiments, exactTimestamps }: EngineUse): Toggles {
  return {
    enabled: experiments ? ['allow_unsafe_apis'] : [],
    disabled: exactTimestamps ? ['timestamp_quantization'] : [],
  };
}

/** Pixels of a chunk of a sum per channel: about 4096 threads in all, at least 8 pixels for each. */
export function channelChunk(pixels: number, channelQuads: number): number {
  const wanted = Math.max(1, Math.min(Math.floor(4096 / channelQuads), Math.ceil(pixels / 8)));
  return Math.ceil(pixels / wanted);
}

export const commonKernels: Omit<KernelFamilies, 'convolution' | 'weight_gradient' | 'winograd'> = {
  channelSums: { chunk: channelChunk, sum: () => itemPerThread('reduce', 'channel_sum') },
  batchNorm: {
    chunk: channelChunk,
    statistics: () => itemPerThread('batch_norm', 'statistics'),
    merge: () => itemPerThread('batch_norm', 'merge'),
    apply: () => itemPerThread('batch_norm', 'apply'),
    gradientSums: () => itemPerThread('batch_norm', 'gradient_sums'),
    mergeGradient: () => itemPerThread('batch_norm', 'merge_gradient'),
    applyGradient: () => itemPerThread('batch_norm', 'apply_gradient'),
  },
  normalize: {
    forward: () => itemPerThread('normalize', 'forward'),
    gradient: () => itemPerThread('normalize', 'gradient'),
  },
  cosineDistance: {
    positions: () => itemPerThread('cosine_distance', 'positions'),
    flatten: () => itemPerWorkgroup('cosine_distance', 'flatten'),
    gradient: () => itemPerThread('cosine_distance', 'gradient'),
  },
  gate: {
    forward: () => itemPerThread('gate', 'gate_forward'),
    matching: rowKernels.gate.matching,
    gradient: () => itemPerThread('gate', 'gate_gradient'),
    residualForward: () => itemPerThread('gate', 'residual_forward'),
    residualGradient: () => itemPerThread('gate', 'residual_gradient'),
  },
  pairwiseHinge: {
    activate: () => itemPerThread('pairwise_hinge', 'activate'),
    finish: () => oneWorkgroup('pairwise_hinge', 'finish'),
  },
  scoreMap: {
    distances: () => itemPerThread('score_map', 'level_distances'),
    rows: () => ({ module: 'score_map', entry: 'smooth_rows', grid: (size, batch) => [size, batch, 1] }),
    columns: () => ({
      module: 'score_map',
      entry: 'smooth_columns',
      grid: (size, batch) => [
        Math.ceil(size / scoreMapTile.width),
        Math.ceil(size / scoreMapTile.height),
        batch,
      ],
    }),
  },
  maxPool: {
    forward: () => itemPerThread('max_pool2d', 'forward'),
    gradient: () => itemPerThread('max_pool2d', 'gradient'),
  },
  averagePool: () => itemPerThread('average_pool', 'forward'),
  pack: () => ({ module: 'texture', entry: 'pack', rowsPerThread: packedRows }),
  topk: () => ({ module: 'topk_mean', entry: 'forward', valuesPerWorkgroup: Number.POSITIVE_INFINITY }),
  focalLoss: () => oneWorkgroup('focal_loss', 'forward'),
  sums: {
    mean: () => oneWorkgroup('reduce', 'mean'),
    squareError: () => oneWorkgroup('reduce', 'square_error'),
    partials: () => itemPerThread('sum_partials', 'main'),
  },
};
