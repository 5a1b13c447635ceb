/**
 * Matrix kernels in registers alone, 64 threads each. Neighbouring threads share their rows on GPUs whose
 * workgroup memory is plain memory; on others they share their columns, so that what is read for those is the
 * same for a whole workgroup.
 */
import { workgroupSize } from '../../../kernels/sizes.ts';
import { convolutionRanges } from './convolution_tiles.ts';
import {
  describeKernel,
  type KernelFamilies,
  type MatrixFamilyName,
  type MatrixKernel,
  matrixGrid,
} from './families.ts';
import { matrixUnitCandidates, matrixUnitKernel } from './matrix_unit_kernels.ts';
import type { Target } from './target.ts';
import { weightGradientRanges } from './weight_gradients.ts';

/**
 * Convolution: each thread computes `rows` rows of `columns` quads, and reads weights that lie in a texture
 * as a sampled one.
 *
 * @param columns a divisor of 8
 */
export function register(rows: number, columns: number): MatrixKernel {
  return {
    module: 'conv2d_register',
    entry: 'main',
    constants: { THREADS: workgroupSize, ROWS: rows, COLUMNS: columns },
    conditions: { sampled: true },
    tile: { rows, columnQuads: columns },
    tilesPerWorkgroup: workgroupSize,
    step: 4,
    statistics: false,
  };
}

/** Weight gradient: each thread computes four rows of `columns` quads, and takes `pixels` pixels at once. */
export function weightGradientRegister(columns: number, pixels: number): MatrixKernel {
  return {
    module: 'weight_gradient_register',
    entry: 'main',
    constants: { THREADS: workgroupSize, COLUMNS: columns, PIXELS: pixels },
    tile: { rows: 1, columnQuads: columns },
    tilesPerWorkgroup: workgroupSize,
    step: 1,
    statistics: false,
  };
}

/** A shape of the kernels whose workgroups share their columns. */
export interface SharedShape {
  /** Threads of a workgroup; 64 unless given. */
  readonly threads?: number;
  /** Pixels of a thread (weight gradients: those of a turn). */
  readonly pixels: number;
  /** Quads of columns of a thread; a power of two. */
  readonly columns: number;
  /** Cycles of a multiply-add, as a multiple of the profile's best shape's (`npm run check:gpu`). */
  readonly cost: number;
}

/** The shapes of a profile for each product. */
export interface SharedShapes {
  readonly forward: readonly SharedShape[];
  readonly dataGradient: readonly SharedShape[];
  readonly weightGradient: readonly SharedShape[];
}

type Shape = Omit<SharedShape, 'cost'>;

interface Timed {
  readonly kernel: MatrixKernel;
  readonly shape: SharedShape;
}

/** What ranges of split sums are counted by, so that these do not go by the shape. */
const smallestTile = { tile: { rows: workgroupSize, columnQuads: 1 }, tilesPerWorkgroup: 1 } as const;

/** @param subgroupSize lanes that the kernel is compiled for, where the target lets kernels choose */
export function sharedConvolution(
  { threads = workgroupSize, pixels, columns }: Shape,
  subgroupSize?: number,
): MatrixKernel {
  return {
    module: 'conv2d_register',
    entry: 'main',
    constants: { THREADS: threads, ROWS: pixels, COLUMNS: columns },
    conditions: { shared_columns: true },
    tile: { rows: threads * pixels, columnQuads: columns },
    tilesPerWorkgroup: 1,
    threads,
    step: 4,
    splitting: smallestTile,
    statistics: true,
    blocks: true,
    ...(subgroupSize && { subgroupSize }),
  };
}

/** @param subgroupSize lanes that the kernel is compiled for, where the target lets kernels choose */
export function sharedWeightGradient(
  { threads = workgroupSize, pixels, columns }: Shape,
  subgroupSize?: number,
): MatrixKernel {
  return {
    module: 'weight_gradient_register',
    entry: 'main',
    constants: { THREADS: threads, COLUMNS: columns, PIXELS: pixels },
    conditions: { shared_columns: true },
    tile: { rows: threads, columnQuads: columns },
    tilesPerWorkgroup: 1,
    threads,
    step: 1,
    statistics: false,
    blocks: true,
    ...(subgroupSize && { subgroupSize }),
  };
}

/**
 * The families of a profile that has these shapes. Every shape adds up an output's sum in the same order, so
 * that the choice goes by all rows: the bits of an image do not depend on the batch.
 *
 * @param lanes that kernels are compiled for on a target; 0: the driver chooses
 */
export function sharedColumns(
  shapesFor: (target: Target) => SharedShapes,
  lanes: (target: Target) => number = () => 0,
): Pick<KernelFamilies, MatrixFamilyName> {
  const kernels = (target: Target, shapes: readonly SharedShape[], family: MatrixFamilyName): Timed[] =>
    shapes.map((shape) => {
      const make = family === 'convolution' ? sharedConvolution : sharedWeightGradient;
      return { kernel: make(shape, lanes(target) || undefined), shape };
    });
  const least = (candidates: readonly Timed[], time: (candidate: Timed) => number) =>
    candidates.reduce((best, other) => (time(other) < time(best) ? other : best)).kernel;
  return {
    convolution: {
      candidates(target) {
        const { forward, dataGradient } = shapesFor(target);
        const all = kernels(target, [...forward, ...dataGradient], 'convolution');
        const names = all.map(({ kernel }) => describeKernel(kernel));
        const different = all.filter((_, i) => names.indexOf(names[i] as string) === i);
        return [...different.map(({ kernel }) => kernel), ...matrixUnitCandidates('f32', target)];
      },
      choose(problem, target) {
        const { rows, columnQuads, dataGradient } = problem;
        const units = matrixUnitKernel(problem, target);
        if (units) return units;
        const shapes = shapesFor(target)[dataGradient ? 'dataGradient' : 'forward'];
        return least(kernels(target, shapes, 'convolution'), ({ kernel, shape }) => {
          const { workgroups } = matrixGrid(kernel, rows, columnQuads);
          // What a busy device computes one after the other, and an idle one side by side.
          const turns = Math.max(1, workgroups / target.parallelism);
          return turns * shape.pixels * shape.columns * shape.cost;
        });
      },
      splits: convolutionRanges,
    },
    weight_gradient: {
      candidates: (target) =>
        kernels(target, shapesFor(target).weightGradient, 'weight_gradient').map(({ kernel }) => kernel),
      choose: ({ rows, columnQuads }, target) =>
        least(kernels(target, shapesFor(target).weightGradient, 'weight_gradient'), ({ kernel, shape }) => {
          // Ranges fill the device whatever the tile.
          const { workgroups } = matrixGrid(kernel, Math.ceil(rows / 4), columnQuads);
          return workgroups * kernel.tile.rows * kernel.tile.columnQuads * shape.cost;
        }),
      splits: weightGradientRanges,
    },
  };
}

/**
 * For GPUs of which nothing is known: what no compiler spills (`npm run check:gpu -- --minimal --unknown`).
 */
export const fewRegisters: SharedShapes = {
  forward: [
    { pixels: 2, columns: 2, cost: 1 },
    { pixels: 1, columns: 2, cost: 1.35 },
    { pixels: 1, columns: 1, cost: 2.1 },
  ],
  dataGradient: [
    { pixels: 2, columns: 2, cost: 1 },
    { pixels: 1, columns: 2, cost: 1.55 },
    { pixels: 1, columns: 1, cost: 2 },
  ],
  weightGradient: [
    { pixels: 2, columns: 2, cost: 1 },
    { threads: 32, pixels: 2, columns: 2, cost: 1.05 },
    { pixels: 4, columns: 1, cost: 1.3 },
  ],
};
