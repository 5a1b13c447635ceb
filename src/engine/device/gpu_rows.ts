/**
 * The families without matrix products on GPUs, where a row of channels, a column of pixels or a whole tensor
 * is summed up: enough workgroups to fill the device, and at least four loads on their way in every thread. A
 * thread that walks through a row alone waits for memory at every step, and few rows leave a GPU idle.
 */
import type { KernelModule } from '../../../kernels/generated.ts';
import { scoreMapGaussian, sumThreads, workgroupSize } from '../../../kernels/sizes.ts';
import {
  type Choice,
  type ChunksProblem,
  type ItemKernel,
  itemPerThread,
  itemPerWorkgroup,
  type KernelCandidate,
  type KernelFamilies,
  type MapProblem,
  oneWorkgroup,
  type RowsProblem,
} from './families.ts';

/** Workgroups that a kernel should have where its data allow it. */
export const enoughWorkgroups = 256;

/** Pixels of the map on each side of a workgroup of `score_map_smooth.smooth_columns`. */
const columnTile = 16;

function powerOfTwo(least: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, least)));
}

/**
 * Lanes that share a row of `quads`: each takes about `loads` quads, or fewer where few rows would be few
 * workgroups.
 */
function lanesFor(rows: number, quads: number, loads: number): number {
  let lanes = Math.min(powerOfTwo(quads / loads), workgroupSize);
  const enough = enoughWorkgroups * workgroupSize;
  while (lanes < workgroupSize && lanes < quads && rows * lanes < enough) lanes *= 2;
  return lanes;
}

/**
 * A kernel whose rows are shared by lanes, or `otherwise` for rows that do not fit the registers.
 *
 * @param loads quads that a lane takes at once from each input
 */
function rowByLanes(
  module: KernelModule,
  entry: string,
  { rows, channelQuads }: { readonly rows: number; readonly channelQuads: number },
  otherwise: ItemKernel,
  loads = 4,
): ItemKernel {
  const lanes = lanesFor(rows, channelQuads, loads);
  const held = Math.ceil(channelQuads / lanes);
  if (held > 2 * loads) return otherwise;
  return {
    module,
    entry,
    constants: { LANES: lanes, LOADS: held },
    itemsPerWorkgroup: workgroupSize / lanes,
  };
}

/** A kernel whose items are quads instead of rows. */
function countedInQuads(
  kernel: ItemKernel,
  otherwise: ItemKernel,
  { channelQuads }: RowsProblem,
): ItemKernel {
  if (kernel === otherwise) return kernel;
  return { ...kernel, itemsPerWorkgroup: kernel.itemsPerWorkgroup * channelQuads };
}

/** What goes into inference is chosen by one image, so that its bits do not depend on the batch. */
function ofOneImage({ rowsPerImage, channelQuads }: RowsProblem) {
  return { rows: rowsPerImage, channelQuads };
}

/** The gate's gradient where a row does not fit the registers: the workgroup takes it in turns. */
const residualGradientInTurns: ItemKernel = {
  ...itemPerWorkgroup('gate_turns', 'residual_gradient'),
  constants: { LANES: workgroupSize, LOADS: 2 },
};

/** Of the gate's gradient, for GPUs whose registers hold two quads of each of its three inputs per lane. */
export const residualGradientOfFewLoads: Choice<RowsProblem> = (problem, target) => {
  const kernel = rowKernels.gate.residualGradient(problem, target);
  return (kernel.constants?.LOADS ?? 0) > 2 ? residualGradientInTurns : kernel;
};

// Loads that a thread of a copy has on their way.
const rowsAtOnce = 4;

/** Weights in the order of their texture: fewer rows for a thread where few threads are few workgroups. */
export const packing: KernelFamilies['pack'] = ({ columns, rows }) => {
  let rowsPerThread = rowsAtOnce;
  const threads = () => columns * Math.ceil(rows / rowsPerThread);
  while (rowsPerThread > 1 && threads() < enoughWorkgroups * workgroupSize) rowsPerThread /= 2;
  return { module: 'texture_ahead', entry: 'pack', constants: { ROWS: rowsPerThread }, rowsPerThread };
};

/** The families that sum up rows of channels. */
export const rowKernels: Pick<
  KernelFamilies,
  'normalize' | 'cosineDistance' | 'gate' | 'pairwiseHinge' | 'scoreMap'
> = {
  normalize: {
    forward: (problem) =>
      rowByLanes('normalize_lanes', 'forward', ofOneImage(problem), itemPerThread('normalize', 'forward')),
    gradient: (problem) =>
      rowByLanes('normalize_lanes', 'gradient', problem, itemPerThread('normalize', 'gradient')),
  },
  cosineDistance: {
    positions(problem) {
      const otherwise = itemPerThread('cosine_distance', 'positions');
      return rowByLanes('cosine_distance_lanes', 'positions', problem, otherwise);
    },
    flatten: () => itemPerWorkgroup('cosine_distance_flat', 'flatten'),
    gradient(problem) {
      const otherwise = itemPerThread('cosine_distance', 'gradient');
      return countedInQuads(
        rowByLanes('cosine_distance_lanes', 'gradient', problem, otherwise),
        otherwise,
        problem,
      );
    },
  },
  gate: {
    forward: (problem) =>
      rowByLanes('gate_lanes', 'gate_forward', ofOneImage(problem), itemPerThread('gate', 'gate_forward')),
    matching(problem) {
      // The keys are the longer row where channels are few.
      const channelQuads = Math.max(problem.channelQuads, problem.keyQuads);
      const lanes = lanesFor(problem.rowsPerImage, channelQuads, 4);
      const loads = (quads: number) => Math.ceil(quads / lanes);
      return {
        module: 'matching_gate',
        entry: 'main',
        constants: { LANES: lanes, LOADS: loads(problem.channelQuads), KEY_LOADS: loads(problem.keyQuads) },
        itemsPerWorkgroup: workgroupSize / lanes,
      };
    },
    gradient: (problem) =>
      rowByLanes('gate_lanes', 'gate_gradient', problem, itemPerThread('gate', 'gate_gradient')),
    residualForward(problem) {
      const otherwise = itemPerThread('gate', 'residual_forward');
      return countedInQuads(
        rowByLanes('gate_lanes', 'residual_forward', ofOneImage(problem), otherwise),
        otherwise,
        problem,
      );
    },
    // Three inputs: more loads of each would spill on Intel.
    residualGradient: (problem) =>
      rowByLanes('gate_lanes', 'residual_gradient', problem, residualGradientInTurns, 2),
  },
  pairwiseHinge: {
    activate: (problem) =>
      rowByLanes('pairwise_hinge_lanes', 'activate', problem, itemPerThread('pairwise_hinge', 'activate')),
    finish: () => oneWorkgroup('pairwise_hinge_sum', 'finish'),
  },
  scoreMap: {
    distances(problem) {
      const lanes = lanesFor(problem.rowsPerImage, problem.channelQuads, 4);
      return {
        module: 'score_map_lanes',
        entry: 'level_distances',
        constants: { LANES: lanes },
        itemsPerWorkgroup: workgroupSize / lanes,
      };
    },
    rows: (problem) => ({ ...smoothing(problem, 'smooth_rows'), grid: (size, batch) => [size, batch, 1] }),
    columns: (problem) => ({
      ...smoothing(problem, 'smooth_columns'),
      grid: (size, batch) => [size / columnTile, size / columnTile, batch],
    }),
  },
};

/** Workgroup memory as the map needs it. */
function smoothing({ size, levels }: MapProblem, entry: string): KernelCandidate {
  const row = size + 2 * scoreMapGaussian.radius;
  return { module: 'score_map_smooth', entry, constants: { ROW: row, LEVELS: levels } };
}

/** Quads that a workgroup of 256 threads takes side by side: a power of two that divides their number. */
function across(channelQuads: number, most: number): number {
  let quads = 1;
  while (2 * quads <= most && channelQuads % (2 * quads) === 0) quads *= 2;
  return quads;
}

/** Neighbouring quads are 256 bytes in one piece. */
const widest = 16;

/** Channel quads that a workgroup of sums over pixels takes side by side. */
export const acrossChannels = (channelQuads: number): number => across(channelQuads, widest);

/**
 * Pixels of a chunk of sums per channel: enough chunks to fill the device, and no fewer pixels than lanes
 * that share them.
 */
function columnChunk(pixels: number, channelQuads: number): number {
  const quads = acrossChannels(channelQuads);
  const wanted = Math.ceil((enoughWorkgroups * quads) / channelQuads);
  const most = Math.ceil((pixels * quads) / sumThreads);
  return Math.ceil(pixels / Math.max(1, Math.min(wanted, most)));
}

function byColumns(module: KernelModule, entry: string, quads: number): ItemKernel {
  return { module, entry, constants: { QUADS: quads }, itemsPerWorkgroup: quads };
}

/** Chunks are shared by half as many lanes: each has two loads of two chunks on their way. */
function merging(entry: string, { chunks, channelQuads }: ChunksProblem): ItemKernel {
  const lanes = Math.min(powerOfTwo(chunks / 2), sumThreads);
  return byColumns('batch_norm_columns', entry, across(channelQuads, Math.min(sumThreads / lanes, widest)));
}

/** The families that sum up pixels of a channel. */
export const columnKernels = {
  channelSums: {
    chunk: columnChunk,
    sum: ({ channelQuads }) => byColumns('channel_sums', 'channel_sum', acrossChannels(channelQuads)),
  },
  batchNorm: {
    chunk: columnChunk,
    statistics: ({ channelQuads }) =>
      byColumns('batch_norm_columns', 'statistics', acrossChannels(channelQuads)),
    merge: (problem) => merging('merge', problem),
    gradientSums: ({ channelQuads }) =>
      byColumns('batch_norm_columns', 'gradient_sums', acrossChannels(channelQuads)),
    mergeGradient: (problem) => merging('merge_gradient', problem),
    apply: () => itemPerThread('batch_norm', 'apply'),
    applyGradient: () => itemPerThread('batch_norm', 'apply_gradient'),
  },
} satisfies Pick<KernelFamilies, 'channelSums' | 'batchNorm'>;
