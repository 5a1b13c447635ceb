/**
 * The weight gradient on GPUs: shapes of `weight_gradient_tile`, the choice among those of a profile, and the
 * ranges that a sum over pixels is cut into.
 */
import { workgroupSize } from '../../../kernels/sizes.ts';
import {
  type ChosenProduct,
  type MatrixFamily,
  type MatrixKernel,
  type MatrixProblem,
  matrixGrid,
} from './families.ts';
import type { Target } from './target.ts';

/** A shape of the kernel: threads of a workgroup, and what each of them computes. */
export interface WeightGradientShape {
  /** Threads of a workgroup along the columns, and along the rows. */
  readonly threads: readonly [across: number, down: number];
  /** Row quads (four rows each) and column quads of a thread. */
  readonly outputs: readonly [rowQuads: number, columnQuads: number];
  /** Pixels of a step. A thread loads `depth * rowQuads / across` and `depth * columnQuads / down` quads. */
  readonly depth: number;
  /** The next step is loaded into registers while this one is multiplied. */
  readonly prefetch?: boolean;
  /** The loop over a step's pixels stays a loop, which takes fewer registers. */
  readonly rolled?: boolean;
  /**
   * What an output costs beside the profile's best shape, by the instructions of a step per multiply-add
   * (`npm run check:gpu`).
   */
  readonly cost: number;
}

/**
 * @param subgroupSize lanes that the kernel is compiled for, where the target lets kernels choose
 * @throws Error where the threads cannot share the loads of a step evenly
 */
export function weightGradientTile(
  {
    threads: [across, down],
    outputs: [rows, columns],
    depth,
    prefetch = false,
    rolled = false,
  }: WeightGradientShape,
  subgroupSize?: number,
): MatrixKernel {
  const threads = across * down;
  const whole = [(depth * rows) / across, (depth * columns) / down, across / rows, down / columns];
  if (!whole.every(Number.isInteger))
    throw new Error(
      `weight gradient: ${across} x ${down} threads cannot share steps of ${depth} pixels evenly`,
    );
  return {
    module: 'weight_gradient_tile',
    entry: 'main',
    constants: { ACROSS: across, DOWN: down, ROWS: rows, COLUMNS: columns, DEPTH: depth },
    conditions: { prefetch, rolled },
    tile: { rows: down * rows, columnQuads: across * columns },
    tilesPerWorkgroup: 1,
    threads,
    step: depth,
    statistics: false,
    ...(subgroupSize && { subgroupSize }),
  };
}

/**
 * Ranges of a sum over pixels. Each range costs a write and a read of the whole result, which memory takes as
 * long for as the arithmetic of some hundred pixels. So short ranges only fill a quarter of the device, and
 * the rest is filled by long ones.
 */
export function weightGradientRanges(
  workgroups: number,
  lines: number,
  { parallelism }: Target,
  { kernel: { threads = workgroupSize }, depth }: ChosenProduct,
): number {
  const wanted = (parallelism * workgroupSize) / (workgroups * threads);
  const few = Math.min(Math.ceil(wanted / 4), Math.floor(depth / leastPixels.few));
  const many = Math.min(Math.ceil(wanted), Math.floor(depth / leastPixels.many));
  return Math.max(1, Math.min(Math.max(few, many), lines));
}

// Pixels of a range where few workgroups are busy, and where many are.
const leastPixels = { few: 128, many: 512 } as const;

/**
 * The family of a profile that has these shapes.
 *
 * @param subgroupSize lanes that kernels are compiled for on a target; 0: the driver chooses
 * @param tried further shapes, which only the tuner tries
 */
export function weightGradientFamily(
  shapesFor: (target: Target) => readonly WeightGradientShape[],
  subgroupSize: (target: Target) => number = () => 0,
  tried: readonly WeightGradientShape[] = [],
): MatrixFamily {
  const kernelOf = (shape: WeightGradientShape, target: Target) =>
    weightGradientTile(shape, subgroupSize(target) || undefined);
  return {
    candidates: (target) => [...shapesFor(target), ...tried].map((shape) => kernelOf(shape, target)),
    choose(problem, target) {
      const costs = shapesFor(target).map((shape) => {
        const kernel = kernelOf(shape, target);
        return { kernel, cost: shape.cost * work(kernel, problem, target) };
      });
      return costs.reduce((best, other) => (other.cost < best.cost ? other : best)).kernel;
    },
    splits: weightGradientRanges,
  };
}

// The share of a device's parallelism that it has processors: with fewer workgroups some of them idle.
const processors = 1 / 8;

/** Outputs that the tiles of a product have, empty ones included, times the share of a device that idles. */
function work(kernel: MatrixKernel, { rows, columnQuads, depth }: MatrixProblem, target: Target): number {
  const { workgroups: tiles } = matrixGrid(kernel, Math.ceil(rows / 4), columnQuads);
  // Ranges as if lines had one pixel each, for a problem does not know its lines.
  const workgroups = tiles * weightGradientRanges(tiles, depth, target, { kernel, depth });
  const idle = Math.max(1, (target.parallelism * processors) / workgroups);
  return tiles * kernel.tile.rows * kernel.tile.columnQuads * idle;
}

/** Four rows of one quad per thread: what software drivers try beside their own kernels. */
export const smallestShapes: readonly WeightGradientShape[] = [
  { threads: [8, 8], outputs: [1, 1], depth: 8, rolled: true, cost: 1 },
];

/** Four rows of two quads: half of 64 registers, which leaves a GPU with 128 of them room for the rest. */
export const middleShapes: readonly WeightGradientShape[] = [
  { threads: [16, 16], outputs: [1, 2], depth: 16, cost: 1 },
  { threads: [8, 16], outputs: [1, 2], depth: 8, cost: 1.1 },
  { threads: [8, 8], outputs: [1, 2], depth: 8, cost: 1.15 },
  { threads: [8, 8], outputs: [1, 1], depth: 8, cost: 1.5 },
];

/** Eight rows of two quads, for GPUs whose threads have 128 registers and more. */
export const largeShapes: readonly WeightGradientShape[] = [
  { threads: [16, 16], outputs: [2, 2], depth: 8, prefetch: true, cost: 1 },
  { threads: [16, 8], outputs: [2, 2], depth: 8, prefetch: true, cost: 1.03 },
  { threads: [8, 16], outputs: [2, 2], depth: 8, prefetch: true, cost: 1.06 },
  { threads: [8, 8], outputs: [2, 2], depth: 8, prefetch: true, cost: 1.08 },
  { threads: [8, 8], outputs: [1, 2], depth: 8, prefetch: true, cost: 1.35 },
  { threads: [8, 8], outputs: [1, 1], depth: 8, prefetch: true, cost: 1.8 },
];

/** Eight rows of two quads in fewer registers. */
export const largeShapesAtOnce: readonly WeightGradientShape[] = largeShapes
  .filter(({ threads: [across, down], outputs: [rowQuads] }) => across === down && rowQuads === 2)
  .map((shape) => ({ ...shape, prefetch: false }));
