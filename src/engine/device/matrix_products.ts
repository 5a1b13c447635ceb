/** The matrix kernels of this package in all their shapes, as candidates of the matrix families. */
import type { KernelModule } from '../../../kernels/generated.ts';
import { matrixTile, tileThreads } from '../../../kernels/sizes.ts';
import type { MatrixFamilyName, MatrixKernel, MatrixProblem } from './families.ts';
import type { MatrixUnit, Target } from './target.ts';
import { smallestShapes, weightGradientTile } from './weight_gradients.ts';

const lanes = {
  convolution: 'conv2d_lane',
  weight_gradient: 'weight_gradient_lane',
} as const satisfies Record<MatrixFamilyName, KernelModule>;

// Quads of the innermost loop that the tile kernels take at once; ranges of the others begin there too.
const step = 4;

/**
 * Lanes of a subgroup share their loads through broadcasts; each computes `rows` rows (weight gradients:
 * quads of rows) of `columns` quads.
 *
 * @param subgroup lanes of a subgroup; 1 = no subgroups, each thread has a tile of its own
 * @param subgroups of a workgroup, each with a tile of its own
 */
export function lane(
  family: MatrixFamilyName,
  subgroup: number,
  subgroups: number,
  rows: number,
  columns: number,
): MatrixKernel {
  return {
    module: lanes[family],
    entry: 'main',
    constants: { SUBGROUP: subgroup, SUBGROUPS: subgroups, ROWS: rows, COLUMNS: columns },
    conditions: { subgroups: subgroup > 1 },
    tile: { rows, columnQuads: subgroup * columns },
    tilesPerWorkgroup: subgroups,
    step,
    statistics: family === 'convolution',
  };
}

/**
 * A workgroup of 8 x 8 threads shares its loads through workgroup memory; each thread computes `rows` rows of
 * `columns` quads.
 *
 * @param depth quads of the sum per step
 */
export function tile(rows: number, columns: number, depth: number): MatrixKernel {
  return {
    module: 'conv2d_tile',
    entry: 'main',
    constants: { ROWS: rows, COLUMNS: columns, DEPTH: depth },
    tile: { rows: tileThreads * rows, columnQuads: tileThreads * columns },
    tilesPerWorkgroup: 1,
    step,
    statistics: true,
  };
}

/** Matrix units: four subgroups, two by two, compute 32 x 32 outputs each. */
export function matrix(subgroup: number, unit: MatrixUnit): MatrixKernel {
  return {
    module: 'conv2d_matrix',
    entry: 'main',
    constants: {
      SUBGROUP: subgroup,
      SUBGROUPS: 4,
      DEPTH: matrixTile.depth / 4,
      MATRIX_ROWS: unit.rows,
      MATRIX_COLUMNS: unit.columns,
      MATRIX_DEPTH: unit.depth,
    },
    conditions: { matrix_half: unit.component === 'f16', emulated: unit.emulated ?? false },
    tile: { rows: 2 * matrixTile.side, columnQuads: (2 * matrixTile.side) / 4 },
    tilesPerWorkgroup: 1,
    step,
    statistics: false,
    operands: unit.component,
  };
}

/**
 * The matrix unit that multiplies such operands without rounding them first; the kernel's workgroup has 256
 * threads at most.
 */
function unitFor(component: MatrixUnit['component'], target: Target): MatrixUnit | undefined {
  if (target.subgroupSize < 2 || target.subgroupSize > 64) return undefined;
  return target.matrixUnits?.find((unit) => unit.component === component);
}

/** The kernel for matrix units, where the device has them and the product fills a subgroup's outputs. */
export function matrixUnitKernel(
  { family, rows, columnQuads, half }: MatrixProblem,
  target: Target,
): MatrixKernel | undefined {
  // A product smaller than a subgroup's outputs would leave most of a workgroup's tile empty.
  if (family !== 'convolution' || rows < 32 || columnQuads < 8) return undefined;
  const unit = (half ? unitFor('f16', target) : undefined) ?? unitFor('f32', target);
  return unit && matrix(target.subgroupSize, unit);
}

/** Every shape for 32-bit operands that is valid on a target. */
export function matrixCandidates(family: MatrixFamilyName, target: Target): MatrixKernel[] {
  const size = target.subgroupSize;
  const list: MatrixKernel[] = [];
  if (family === 'convolution') {
    if (size > 1 && 32 % size === 0)
      list.push(lane(family, size, 4, 32, 1), lane(family, size, 4, Math.max(size, 16), 1));
    if (size > 1 && size <= 4) list.push(lane(family, size, 2, 16, 4));
    if (size === 16) list.push(lane(family, size, 4, 64, 1));
    list.push(lane(family, 1, 64, 8, 1), lane(family, 1, 64, 8, 2));
    list.push(tile(4, 1, 4), tile(4, 2, 4), tile(8, 1, 4));
    const unit = unitFor('f32', target);
    if (unit) list.push(matrix(size, unit));
  } else {
    if (size > 1 && size <= 32) list.push(lane(family, size, 4, 8, 1));
    if (size > 1 && size <= 4) list.push(lane(family, size, 4, 4, 2));
    list.push(lane(family, 1, 64, 2, 2), lane(family, 1, 64, 2, 4));
    list.push(...smallestShapes.map((shape) => weightGradientTile(shape)));
  }
  return list;
}

/**
 * Ranges of a weight gradient's lines of pixels: two workgroups for each that keeps the device busy, at least
 * four lines each, and no more than 64.
 */
export function weightGradientSplits(workgroups: number, lines: number, target: Target): number {
  return Math.max(1, Math.min(Math.ceil((2 * target.parallelism) / workgroups), Math.ceil(lines / 4), 64));
}
