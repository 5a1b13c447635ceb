/** Configurations of the matrix kernels, and the table that chooses one. */
import type { GemmConfiguration, GemmFamily, GemmProblem, MatrixUnit, Target } from './target.ts';
import { tuningKey } from './tuning.ts';

const lane = (subgroup: number, subgroups: number, rows: number, columns: number): GemmConfiguration => ({
  shape: 'lane',
  subgroup,
  subgroups,
  rows,
  columns,
  depth: 0,
});
const tile = (rows: number, columns: number, depth: number): GemmConfiguration => ({
  shape: 'tile',
  subgroup: 0,
  subgroups: 0,
  rows,
  columns,
  depth,
});

// Four subgroups of 32 by 32 outputs each.
const matrix = (subgroup: number, unit: MatrixUnit): GemmConfiguration => ({
  shape: 'matrix',
  subgroup,
  subgroups: 4,
  rows: 32,
  columns: 8,
  depth: 4,
  unit,
});

/**
 * The matrix unit that multiplies such operands without rounding them first; the kernel's workgroup has 256
 * threads at most.
 */
function matrixUnit(component: MatrixUnit['component'], target: Target): MatrixUnit | undefined {
  if (target.subgroupSize < 2 || target.subgroupSize > 64) return undefined;
  return target.matrixUnits?.find((unit) => unit.component === component);
}

/** Every configuration for 32-bit operands that is valid on a target, for tests and the tuner. */
export function gemmConfigurations(family: GemmFamily, target: Target): GemmConfiguration[] {
  const size = target.subgroupSize;
  const list: GemmConfiguration[] = [];
  if (family === 'convolution') {
    if (size > 1 && 32 % size === 0) list.push(lane(size, 4, 32, 1), lane(size, 4, Math.max(size, 16), 1));
    if (size > 1 && size <= 4) list.push(lane(size, 2, 16, 4));
    if (size === 16) list.push(lane(size, 4, 64, 1));
    list.push(lane(1, 64, 8, 1), lane(1, 64, 8, 2), tile(4, 1, 4), tile(4, 2, 4), tile(8, 1, 4));
    const unit = matrixUnit('f32', target);
    if (unit) list.push(matrix(size, unit));
  } else {
    if (size > 1 && size <= 32) list.push(lane(size, 4, 8, 1));
    if (size > 1 && size <= 4) list.push(lane(size, 4, 4, 2));
    list.push(lane(1, 64, 2, 2), lane(1, 64, 2, 4), tile(1, 1, 8), tile(1, 2, 8), tile(2, 1, 8));
  }
  return list;
}

/** The configuration for a matrix product; batched ones (Winograd) may take fewer rows. */
export function chooseGemm(problem: GemmProblem, target: Target, batched = false): GemmConfiguration {
  const { family, columnQuads } = problem;
  const forced = target.force?.[family];
  if (forced) return forced;
  const size = target.subgroupSize;
  // A product smaller than a subgroup's outputs would leave most of a workgroup's tile empty.
  const fills = family === 'convolution' && problem.rows >= 32 && columnQuads >= 8;
  const halfUnit = fills && problem.half ? matrixUnit('f16', target) : undefined;
  // The tuner measures 32-bit operands, and knows nothing of these.
  if (halfUnit) return matrix(size, halfUnit);
  const tuned = batched ? undefined : target.tuned?.[tuningKey(problem)];
  if (tuned) return tuned;
  const fullUnit = fills ? matrixUnit('f32', target) : undefined;
  if (fullUnit) return matrix(size, fullUnit);
  if (target.software) {
    if (family === 'convolution') {
      // Few lanes share a load of the source among few columns: four columns each make up for it
      // (SwiftShader).
      if (size > 1 && size <= 4 && !target.textures && columnQuads >= 4 * size) return lane(size, 2, 16, 4);
      // A subgroup with fewer rows wastes less on a small grid; with more, each load of weights serves more
      // rows.
      if (size === 16 && target.textures && !batched && problem.rows >= 64) return lane(size, 4, 64, 1);
      if (size > 1 && size <= 16) return lane(size, 4, batched && problem.rows <= 16 ? 16 : 32, 1);
      if (size === 32) return lane(size, 4, 32, 1);
      return lane(1, 64, 8, columnQuads > 1 ? 2 : 1);
    }
    if (size > 1 && size <= 32) return lane(size, 4, 8, 1);
    return lane(1, 64, 2, columnQuads > 3 ? 4 : 2);
  }
  if (family === 'convolution') return columnQuads >= 16 ? tile(4, 2, 4) : tile(4, 1, 4);
  return columnQuads >= 16 ? tile(1, 2, 8) : tile(1, 1, 8);
}

/**
 * Ranges that a gathering product's sum is cut into, because its tiles alone would leave most of a GPU idle.
 *
 * @param workgroups of one image, so that a result does not depend on the batch that it was computed in
 * @param steps quads of the sum's innermost loop, which is what is cut
 */
export function chooseSplits(workgroups: number, steps: number, target: Target): number {
  // A range shorter than this is not worth its part of the output.
  const most = Math.max(Math.floor(steps / 16), 1);
  const wanted = target.software ? 1 : Math.floor(target.parallelism / (4 * workgroups));
  return target.splits ?? Math.max(1, Math.min(wanted, most, 8));
}
