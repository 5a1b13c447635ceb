/**
 * The convolution kernel for matrix units in its shapes, and the choice among them: by the size of a product
 * and by what the device has. Takes units as an adapter lists them (`matrix_units.ts`).
 */
import { type MatrixKernel, type MatrixProblem, matrixGrid } from './families.ts';
import { choosesLanes, type MatrixUnit, type Target } from './target.ts';

/** What a workgroup computes at once. */
export interface MatrixShape {
  /** Subgroups of the workgroup, downwards and across. */
  readonly subgroups: readonly [down: number, across: number];
  /** Outputs of a subgroup. */
  readonly rows: number;
  readonly columns: number;
  /** Steps of the sum that lie in workgroup memory together. */
  readonly depth: number;
}

/** A shape, and the share of the units' peak that its main loop reaches by the compiler's instructions. */
interface RatedShape extends MatrixShape {
  readonly share: number;
}

/** From the fewest loads per product to the most tiles; the shares are those on RDNA 3 (docs/kernels.md). */
const shapes: readonly RatedShape[] = [
  { subgroups: [2, 2], rows: 64, columns: 64, depth: 16, share: 0.81 },
  { subgroups: [2, 2], rows: 32, columns: 64, depth: 16, share: 0.78 },
  { subgroups: [2, 2], rows: 32, columns: 32, depth: 32, share: 0.71 },
  { subgroups: [2, 2], rows: 32, columns: 32, depth: 16, share: 0.52 },
];

// Of one subgroup, so that they lie in registers: 128 of a lane at 16 x 16 and 32 lanes.
const mostResults = 16;

// WebGPU's limits of a workgroup everywhere.
const mostMemory = 16384;
const mostThreads = 256;

/**
 * Ranges of a split sum are counted by the smallest tiles and begin at the longest steps, so that a result
 * does not depend on the shape, which goes by the batch.
 */
const splitting = { tile: { rows: 64, columnQuads: 16 }, tilesPerWorkgroup: 1, step: 8 } as const;

/** Bytes of workgroup memory: both operands in padded lines, and a result of each subgroup. */
export function matrixMemory(
  { subgroups: [down, across], rows, columns, depth }: MatrixShape,
  unit: MatrixUnit,
): number {
  const line = depth * (unit.component === 'f16' ? 2 : 4) + 16;
  return (down * rows + across * columns) * line + down * across * unit.rows * unit.columns * 4;
}

/** The shapes that a unit fits into, the largest first; none: the kernel cannot use it. */
export function matrixShapes(unit: MatrixUnit): readonly RatedShape[] {
  const { rows, columns, depth } = unit;
  return shapes.filter(
    (shape) =>
      shape.rows % rows === 0 &&
      shape.columns % columns === 0 &&
      shape.depth % depth === 0 &&
      (rows * columns) % 4 === 0 &&
      (shape.rows / rows) * (shape.columns / columns) <= mostResults &&
      matrixMemory(shape, unit) <= mostMemory,
  );
}

/**
 * The kernel in one shape.
 *
 * @param lanes of a subgroup
 * @param chosen whether the kernel is compiled for them, because the device leaves a choice
 */
export function matrix(lanes: number, unit: MatrixUnit, shape: MatrixShape, chosen = false): MatrixKernel {
  const [down, across] = shape.subgroups;
  return {
    module: 'conv2d_matrix',
    entry: 'main',
    constants: {
      SUBGROUP: lanes,
      SUBGROUPS_DOWN: down,
      SUBGROUPS_ACROSS: across,
      UNITS_DOWN: shape.rows / unit.rows,
      UNITS_ACROSS: shape.columns / unit.columns,
      DEPTH: shape.depth / 4,
      MATRIX_ROWS: unit.rows,
      MATRIX_COLUMNS: unit.columns,
      MATRIX_DEPTH: unit.depth,
    },
    conditions: { matrix_half: unit.component === 'f16', emulated: unit.emulated ?? false },
    tile: { rows: down * shape.rows, columnQuads: (across * shape.columns) / 4 },
    tilesPerWorkgroup: 1,
    step: splitting.step,
    splitting,
    statistics: false,
    operands: unit.component,
    ...(chosen && { subgroupSize: lanes }),
  };
}

/** A unit with the lanes of its subgroups. */
interface UsableUnit {
  readonly unit: MatrixUnit;
  readonly lanes: number;
  /** Whether the kernel is compiled for these lanes. */
  readonly chosen: boolean;
}

/** The unit for operands of a type, where subgroups have a known size that the kernel can have. */
function unitFor(component: MatrixUnit['component'], target: Target): UsableUnit | undefined {
  const { subgroupSize, matrixUnits = [] } = target;
  const unit = matrixUnits.find((own) => own.component === component && matrixShapes(own).length > 0);
  const lanes = unit?.lanes ?? subgroupSize;
  if (!unit || lanes < 2 || 4 * lanes > mostThreads) return undefined;
  return { unit, lanes, chosen: unit.lanes === undefined && choosesLanes(target) };
}

/** Every shape of the kernel for operands of a type, on a target that has units for them. */
export function matrixUnitCandidates(component: MatrixUnit['component'], target: Target): MatrixKernel[] {
  const usable = unitFor(component, target);
  if (!usable) return [];
  const { unit, lanes, chosen } = usable;
  return matrixShapes(unit).map((shape) => matrix(lanes, unit, shape, chosen));
}

/**
 * The kernel for matrix units, where the device has them for operands of this width and the product fills a
 * subgroup's outputs. Operands in 16 bits may be multiplied by units for 32 bits. Of the shapes that have a
 * subgroup for every workgroup that keeps the device busy it is the one with the least work, tiles beyond the
 * product's edges included; where none has, the smallest.
 */
export function matrixUnitKernel(problem: MatrixProblem, target: Target): MatrixKernel | undefined {
  const { family, rows, imageRows = rows, columnQuads, half } = problem;
  // A smaller product would leave most of a workgroup's tile empty. This goes by one image, because units sum
  // up in another order than other kernels.
  if (family !== 'convolution' || imageRows < 32 || columnQuads < 8) return undefined;
  const usable = (half ? unitFor('f16', target) : undefined) ?? unitFor('f32', target);
  if (!usable) return undefined;
  const { unit, lanes, chosen } = usable;
  const rated = matrixShapes(unit).map((shape) => {
    const kernel = matrix(lanes, unit, shape, chosen);
    const { workgroups } = matrixGrid(kernel, rows, columnQuads);
    const outputs = kernel.tile.rows * kernel.tile.columnQuads;
    const [down, across] = shape.subgroups;
    return {
      kernel,
      outputs,
      busy: workgroups * down * across >= target.parallelism,
      work: (workgroups * outputs) / shape.share,
    };
  });
  const busy = rated.filter((shape) => shape.busy).sort((a, b) => a.work - b.work);
  const smallest = [...rated].sort((a, b) => a.outputs - b.outputs);
  return (busy[0] ?? smallest[0])?.kernel;
}
