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
  /** Times that the sum is walked, each time a part of every `turns * depth` quads; 1 unless given. */
  readonly turns?: 1 | 2;
  /**
   * Workgroups that share a sum, each with a part of every `ranges * depth` quads, which another dispatch
   * adds; 1 unless given.
   */
  readonly ranges?: number;
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
  const { prefetch = false, halfRuns = false, turns = 1, ranges = 1 } = shape;
  const [rows, columns] = outputs;
  const threads = across * down * slices;
  const tile = { rows: down * rows, columnQuads: across * columns };
  const loads = [(tile.rows * depth) / threads, (4 * depth * tile.columnQuads) / threads, depth / slices];
  if (!loads.every(Number.isInteger) || threads / depth < across)
    throw new Error(`conv2d_tile: ${threads} threads cannot share steps of ${depth} quads evenly`);
  if (halfRuns && (4 * depth) / slices > longestHalfRun)
    throw new Error(`conv2d_tile: a run of ${(4 * depth) / slices} terms is too long for 16 bits`);
  if (turns * ranges > 1 && (halfRuns || slices === 1))
    throw new Error('conv2d_tile: only sums in slices of 32 bits are walked in turns or interleaved ranges');
  if (halfRuns && slices > 4) throw new Error(`conv2d_tile: ${slices} slices cannot exchange sums of runs`);
  return {
    module: 'conv2d_tile',
    entry: 'main',
    constants: { ACROSS: across, DOWN: down, ROWS: rows, COLUMNS: columns, DEPTH: depth, SLICES: slices },
    conditions: {
      prefetch,
      sliced: slices > 1,
      many_slices: slices > 4,
      ...(turns > 1 && { turns: true }),
      ...(ranges > 1 && { interleaved: true }),
      ...(halfRuns && { half_runs: true }),
    },
    ...(halfRuns && { operands: 'f16' as const }),
    ...(subgroupSize && { subgroupSize }),
    tile,
    tilesPerWorkgroup: 1,
    threads,
    step: depth * turns,
    ...(ranges > 1 && { ranges }),
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
  /** In the place of `sliced` on a card where no sum of one image shall be split. */
  readonly orders?: SumOrders;
}

/** Orders of a sum for images that leave the device idle, each with shapes that have its bits. */
export interface SumOrders {
  /** Quads up to which a sum is `whole` on any grid: slices would exchange as long as they multiply. */
  readonly short: number;
  /** From the fewest parts of a sum to the most. */
  readonly orders: readonly SumOrder[];
  /** The order of an image whose tiles leave half of the units idle: batches of it have the most ranges. */
  readonly last: SumOrder;
}

export interface SumOrder {
  /** For one image; every batch may have it too. */
  readonly image: readonly ConvolutionShape[];
  /** For batches alone: larger tiles, in ranges. */
  readonly batch: readonly ConvolutionShape[];
}

// Workgroups of 64 threads that a target's parallelism counts for each compute unit.
const workgroupsPerUnit = 8;
// Of these, those that a compute unit works at in one cycle or four.
const wavesAtOnce = 4;

/** Channel quads of the narrowest tile: of fewer columns a part of it stays empty. */
const leastQuads = 8;

/** Channel quads from which tiles of two quads per thread are filled. */
const wideQuads = 16;

/**
 * The shape for a product. The order of an output's sum goes by the rows of one image, so that its bits do
 * not depend on the batch that it is computed in: `whole` where one image has tiles enough for the device,
 * else `sliced`, else a split sum. The tile goes by all rows, for it does not change that order.
 */
function chooseShape(
  { whole, sliced, orders }: ConvolutionShapes,
  { rows, imageRows = rows, columnQuads, depth }: MatrixProblem,
  target: Target,
): ConvolutionShape {
  const units = Math.max(1, target.parallelism / workgroupsPerUnit);
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
  if (orders) return ofOrders(orders);
  const slices = sliced.filter(fits);
  const last = convolutionTile(slices.at(-1) as ConvolutionShape);
  const parts = convolutionRanges(matrixGrid(last, imageRows, columnQuads).workgroups, depth, target);
  return leastWork(slices, rows, parts);

  /** The order by one image, the shape by all rows. */
  function ofOrders({ short, orders: all, last }: SumOrders): ConvolutionShape {
    if (depth <= short) return leastWork(ordered, rows);
    const narrow = (shape: ConvolutionShape) =>
      convolutionTile(shape).tile.columnQuads <= Math.max(leastQuads, columnQuads);
    const least = leastWork(all.flatMap(({ image }) => image).filter(narrow), imageRows);
    const { workgroups } = matrixGrid(convolutionTile(least), imageRows, columnQuads);
    const chosen = all.find(({ image }) => image.includes(least)) as SumOrder;
    const order = chosen === all.at(-1) && 2 * workgroups <= units ? last : chosen;
    if (rows === imageRows) return leastWork(order.image.filter(narrow), rows);
    // The parts of an output must fit a binding, in all of a data gradient's phases.
    const quads = 4 * rows * columnQuads;
    const fitting = order.batch.filter(
      ({ ranges = 1 }) => ranges * quads * 16 <= target.maxStorageBufferBindingSize,
    );
    return leastWork([...order.image, ...fitting].filter(narrow), rows);
  }

  /** The shape whose workgroups, spread evenly over the device, leave the busiest unit the least work. */
  function leastWork(shapes: readonly ConvolutionShape[], count: number, cut = 1): ConvolutionShape {
    const work = shapes.map((shape) => {
      const kernel = convolutionTile(shape);
      const { workgroups } = matrixGrid(kernel, count, columnQuads);
      const { ranges = 1, cost = 1 } = shape;
      const turns = Math.ceil((workgroups * cut * ranges) / units);
      // Fewer waves than a unit computes at once leave a part of it idle.
      const least = (wavesAtOnce * workgroupSize) / (kernel.threads ?? workgroupSize);
      return (Math.max(turns, least) * kernel.tile.rows * kernel.tile.columnQuads * cost) / ranges;
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
    { sliced, orders } = shapesFor(target),
  ): MatrixKernel => {
    const kernel = convolutionTile(shape, subgroupSize(target) || undefined);
    if (orders) return { ranges: 1, ...kernel };
    const smallest = sliced.at(-1);
    return shape.slices && smallest ? { ...kernel, splitting: convolutionTile(smallest) } : kernel;
  };
  return {
    candidates(target) {
      const { whole, sliced, orders } = shapesFor(target);
      const inOrders =
        orders && [...orders.orders, orders.last].flatMap(({ image, batch }) => [...image, ...batch]);
      const tiles = [...whole, ...(inOrders ?? sliced)].map((shape) => kernelOf(shape, target));
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

/**
 * For cards of many units: an image with few tiles has up to sixteen slices instead of split sums, which are
 * a dispatch more each. Small tiles have more slices of fewer threads, for a thread that computes less waits
 * for workgroup memory. Batches of it have larger tiles, whose ranges have the same bits.
 */
export const cardTiles: ConvolutionShapes = {
  ...largeTiles,
  // Costs on RDNA 3 (bench/results/static-NAVI31.json).
  orders: {
    short: 64,
    orders: [
      {
        image: [
          { outputs: [8, 2], depth: 8, slices: 4, prefetch: true },
          { outputs: [4, 1], depth: 8, slices: 4, prefetch: true, cost: 1.95 },
        ],
        batch: [],
      },
      {
        image: [{ threads: [8, 4], outputs: [8, 2], depth: 8, slices: 8, prefetch: true, cost: 1.15 }],
        batch: [],
      },
      {
        image: [{ threads: [4, 4], outputs: [8, 2], depth: 16, slices: 16, prefetch: true, cost: 1.35 }],
        batch: [{ outputs: [8, 2], depth: 4, slices: 4, ranges: 4, prefetch: true, cost: 1.05 }],
      },
    ],
    last: {
      image: [
        { threads: [4, 4], outputs: [8, 2], depth: 16, slices: 16, turns: 2, prefetch: true, cost: 1.4 },
      ],
      batch: [{ outputs: [8, 2], depth: 4, slices: 4, ranges: 8, prefetch: true, cost: 1.05 }],
    },
  },
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
