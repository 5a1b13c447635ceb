/** The matrix kernels of this package in all their shapes, as candidates of the matrix families. */
import type { KernelModule } from '../../../kernels/generated.ts';
import type { MatrixFamilyName, MatrixKernel } from './families.ts';
import { matrixUnitCandidates } from './matrix_unit_kernels.ts';
import { choosesLanes, type Target } from './target.ts';
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
    for (const kernel of matrixUnitCandidates('f32', target)) list.push(kernel);
  } else {
    if (size > 1 && size <= 32) list.push(lane(family, size, 4, 8, 1));
    if (size > 1 && size <= 4) list.push(lane(family, size, 4, 4, 2));
    list.push(lane(family, 1, 64, 2, 2), lane(family, 1, 64, 2, 4));
    for (const shape of smallestShapes) list.push(weightGradientTile(shape));
  }
  // Where the device leaves a choice, what counts on a subgroup's lanes is compiled for them.
  const lanes = choosesLanes(target) ? { subgroupSize: size } : {};
  return list.map((kernel) => (kernel.conditions?.subgroups ? { ...kernel, ...lanes } : kernel));
}

/**
 * Ranges of a weight gradient's lines of pixels: two workgroups for each that keeps the device busy, at least
 * four lines each, and no more than 64.
 */
export function weightGradientSplits(workgroups: number, lines: number, target: Target): number {
  return Math.max(1, Math.min(Math.ceil((2 * target.parallelism) / workgroups), Math.ceil(lines / 4), 64));
}
