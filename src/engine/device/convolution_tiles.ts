/**
 * The convolution on GPUs: shapes of `conv2d_tile`, the choice among those of a profile, and the ranges that
 * a sum is cut into.
 */
import { longestHalfRun, workgroupSize } from '../../../kernels/sizes.ts';
import { type MatrixFamily, type MatrixKernel, type MatrixProblem, matrixGrid } from './families.ts';
import { matrixUnitCandidates, matrixUnitKernel } from './matrix_unit_kernels.ts';
import type { Target } from './target.ts';

/** How a workgroup of `conv2d_tile` shares its outputs and its sums; every number is a power of two. */
export interface ConvolutionShape {
  /** Threads of a slice along the columns, and along the rows; 8 by 8 unless given. */
  readonly threads?: readonly [across: number, down: number];
  /** Outputs of a thread: rows (pixels), and quads of columns (channels). */
  readonly outputs: readonly [rows: number, columnQuads: number];
  /** Quads of the sum per step. */
  readonly depth: number;
  /** Parts of the workgroup that compute an equal share of every step each; 1 unless given. */
  readonly slices?: number;
  /** Whether a step's quads are loaded while the one before is multiplied. */
  readonly prefetch?: boolean;
  /** Whether 16-bit operands are multiplied as such, and short runs of products summed up in 16 bits. */
  readonly halfRuns?: boolean;
  /** What an output costs, as a multiple of the profile's cheapest shape; 1 unless given. */
  readonly cost?: number;
}

/**
 * @param subgroupSize lanes that the kernel is compiled for, where the target lets kernels choose
 * @throws Error where the threads cannot share the loads of a step evenly
 */
export function convolutionTile(shape: ConvolutionShape, subgroupSize?: number): MatrixKernel {
  const { threads: [across, down] = [8, 8], outputs, depth, slices = 1 } = shape;
  const { prefetch = false, halfRuns = false } = shape;
  const [rows, columns] = outputs;
  const threads = across * down * slices;
  const tile = { rows: down * rows, columnQuads: across * columns };
  const loads = [(tile.rows * depth) / threads, (4 * depth * tile.columnQuads) / threads, depth / slices];
  if (!loads.every(Number.isInteger) || threads / depth < across)
    throw new Error(`conv2d_tile: ${threads} threads cannot share steps of ${depth} quads evenly`);
  if (halfRuns && (4 * depth) / slices > longestHalfRun)
    throw new Error(`conv2d_tile: a run of ${(4 * depth) / slices} terms is too long for 16 bits`);
  if (halfRuns && slices > 4) throw new Error(`conv2d_tile: ${slices} slices cannot exchange sums of runs`);
  return {
    module: 'conv2d_tile',
    entry: 'main',
    constants: { ACROSS: across, DOWN: down, ROWS: rows, COLUMNS: columns, DEPTH: depth, SLICES: slices },
    conditions: {
      prefetch,
      sliced: slices > 1,
      many_slices: slices > 4,
      ...(halfRuns && { half_runs: true }),
    },
    ...(halfRuns && { operands: 'f16' as const }),
    ...(subgroupSize && { subgroupSize }),
    tile,
    tilesPerWorkgroup: 1,
    threads,
    step: depth,
    // Two quads for every thread of a slice, in the memory of the tiles.
    statistics: !halfRuns && (slices > 1 || 2 * across * down <= (tile.rows + 4 * tile.columnQuads) * depth),
  };
}

/** The shapes of a profile. */
export interface ConvolutionShapes {
  /** Every output is summed up by one thread, in order; from the largest tile to the smallest. */
  readonly whole: readonly ConvolutionShape[];
  /**
   * For images that leave the device idle so: the same depth and slices in all, hence the same order of every
   * sum; from the largest tile to the smallest, which ranges of split sums are counted by.
   */
  readonly sliced: readonly ConvolutionShape[];
}

// Workgroups of 64 threads that a target's parallelism counts for each compute unit.
const workgroupsPerUnit = 8;
// Of these, those that a compute unit works at in one cycle or four.
const wavesAtOnce = 4;

/** Channel quads from which tiles of two quads per thread are filled. */
const wideQuads = 16;

/**
 * The shape for a product. The order of an output's sum goes by the rows of one image, so that its bits do
 * not depend on the batch that it is computed in: `whole` where one image has tiles enough for the device,
 * else `sliced`, else a split sum. The tile goes by all rows, for it does not change that order.
 */
function chooseShape(
  { whole, sliced }: ConvolutionShapes,
  { rows, imageRows = rows, columnQuads, depth }: MatrixProblem,
  target: Target,
): ConvolutionShape {
  const fits = ({ outputs }: ConvolutionShape) => columnQuads >= wideQuads || outputs[1] === 1;
  /** The largest tile that keeps the device busy, if one does. */
  const busy = (shapes: readonly ConvolutionShape[], count: number) =>
    shapes.find((shape) => {
      const kernel = convolutionTile(shape);
      const { workgroups } = matrixGrid(kernel, count, columnQuads);
      return (workgroups * (kernel.threads ?? workgroupSize)) / workgroupSize >= target.parallelism;
    });
  const fitting = whole.filter(fits);
  const widest = fitting.reduce((most, { outputs }) => Math.max(most, outputs[1]), 1);
  const ordered = fitting.filter(({ outputs }) => outputs[1] === widest);
  if (busy(ordered, imageRows)) return busy(ordered, rows) as ConvolutionShape;
  return leastWork(sliced.filter(fits), rows, imageRows);

  /** The shape whose workgroups, spread evenly over the device, leave the busiest unit the least work. */
  function leastWork(shapes: readonly ConvolutionShape[], count: number, ofImage: number): ConvolutionShape {
    const last = convolutionTile(shapes.at(-1) as ConvolutionShape);
    const parts = convolutionRanges(matrixGrid(last, ofImage, columnQuads).workgroups, depth, target);
    const work = shapes.map((shape) => {
      const kernel = convolutionTile(shape);
      const { workgroups } = matrixGrid(kernel, count, columnQuads);
      const turns = Math.ceil((workgroups * parts) / Math.max(1, target.parallelism / workgroupsPerUnit));
      // Fewer waves than a unit computes at once leave a part of it idle.
      const least = (wavesAtOnce * workgroupSize) / (kernel.threads ?? workgroupSize);
      return Math.max(turns, least) * kernel.tile.rows * kernel.tile.columnQuads * (shape.cost ?? 1);
    });
    return shapes[work.indexOf(work.reduce((a, b) => Math.min(a, b)))] as ConvolutionShape;
  }
}

/** Ranges of a sum; a shorter one is not worth its part of the output. */
export function convolutionRanges(workgroups: number, steps: number, { parallelism }: Target): number {
  const most = Math.min(Math.floor(steps / 16), 8);
  return Math.max(1, Math.min(Math.floor(parallelism / (4 * workgroups)), most));
}

/**
 * The family of a profile that has these shapes, and matrix units where the device has them.
 *
 * @param subgroupSize lanes that kernels are compiled for on a target; 0: the driver chooses
 * @param halfShapesFor shapes that sum up in 16 bits, on targets where that is faster
 */
export function convolutionFamily(
  shapesFor: (target: Target) => ConvolutionShapes,
  subgroupSize: (target: Target) => number = () => 0,
  halfShapesFor: (target: Target) => ConvolutionShapes | undefined = () => undefined,
): MatrixFamily {
  const kernelOf = (
    shape: ConvolutionShape,
    target: Target,
    { sliced } = shapesFor(target),
  ): MatrixKernel => {
    const kernel = convolutionTile(shape, subgroupSize(target) || undefined);
    const smallest = sliced.at(-1);
    return shape.slices && smallest ? { ...kernel, splitting: convolutionTile(smallest) } : kernel;
  };
  return {
    candidates(target) {
      const { whole, sliced } = shapesFor(target);
      const tiles = [...whole, ...sliced].map((shape) => kernelOf(shape, target));
      return [...tiles, ...matrixUnitCandidates('f32', target)];
    },
    choose(problem, target) {
      const shapes = (problem.halfRuns && halfShapesFor(target)) || shapesFor(target);
      return (
        matrixUnitKernel(problem, target) ?? kernelOf(chooseShape(shapes, problem, target), target, shapes)
      );
    },
    splits: convolutionRanges,
  };
}

/** Eight rows of two quads: for GPUs whose threads have 128 registers and more. */
export const largeTiles: ConvolutionShapes = {
  whole: [
    { outputs: [8, 2], depth: 4, prefetch: true },
    { outputs: [4, 2], depth: 4, prefetch: true },
    { outputs: [8, 1], depth: 4, prefetch: true },
    { outputs: [4, 1], depth: 4, prefetch: true },
  ],
  sliced: [
    // Costs on RDNA 3, where smaller tiles wait for workgroup memory (bench/results/static-NAVI31.json).
    { outputs: [8, 2], depth: 8, slices: 4, prefetch: true },
    { outputs: [4, 2], depth: 8, slices: 4, prefetch: true, cost: 1.45 },
    { outputs: [4, 1], depth: 8, slices: 4, prefetch: true, cost: 1.95 },
  ],
};

/** Four rows of two quads: what two waves of GCN hold beside each other. */
export const middleTiles: ConvolutionShapes = {
  whole: largeTiles.whole.filter(({ outputs }) => outputs[0] <= 4),
  sliced: largeTiles.sliced.filter(({ outputs }) => outputs[0] <= 4),
};

/** Four rows of one quad and the next step's loads: for GPUs whose registers many threads share. */
export const smallTiles: ConvolutionShapes = {
  whole: [{ outputs: [4, 1], depth: 4, prefetch: true }],
  sliced: [{ outputs: [4, 1], depth: 8, slices: 4, prefetch: true }],
};

/**
 * Products and sums of short runs in 16 bits: for GPUs that compute pairs of them at twice the rate of 32
 * bits, in the registers of four rows of two quads.
 */
export const halfTiles: ConvolutionShapes = {
  whole: middleTiles.whole.map((shape) => ({ ...shape, halfRuns: true })),
  // Costs on RDNA 2 and GCN 5.
  sliced: middleTiles.sliced.map((shape) => ({
    ...shape,
    halfRuns: true,
    cost: shape.outputs[1] === 1 ? 1.12 : 1,
  })),
};
