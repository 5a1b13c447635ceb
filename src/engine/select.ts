/**
 * Kernel selection: turns every operation of a tape into dispatches for a target. The choice of kernel shape for the
 * matrix-multiply family comes from a table per kind of adapter; tests force each configuration in turn.
 */
import type { KernelVariant } from './kernel.ts';
import { variantKey } from './kernel.ts';
import type { PageKind } from './parameters.ts';
import type { Node } from './tape.ts';
import { byteLength, type Tensor, type View } from './tensor.ts';

export interface PageBinding {
  readonly group: string;
  readonly page: number;
  readonly kind: PageKind;
}

export type Binding = Tensor | View | PageBinding;

/** One kernel launch, or a copy of `x` into `image`, before memory is assigned. */
export interface Dispatch {
  readonly kernel: KernelVariant | 'copy';
  readonly bindings: Readonly<Record<string, Binding>>;
  readonly uniforms: Readonly<Record<string, number>>;
  /** Number of workgroups; see {@link threads} and {@link groups} for how large counts are spread. */
  readonly workgroups: readonly [number, number, number];
  /** Names of the bindings that the kernel writes. */
  readonly writes: readonly string[];
  readonly flops?: number;
}

/** A product that a device's matrix units compute: [rows, depth] times [depth, columns], with a sum in 32 bits. */
export interface MatrixUnit {
  /** Type of the operands. */
  readonly component: 'f16' | 'f32';
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Computed by plain arithmetic, for tests on devices without matrix units. */
  readonly emulated?: boolean;
}

/** A configuration of the convolution or weight-gradient kernels. */
export interface GemmConfiguration {
  readonly shape: 'lane' | 'tile' | 'matrix';
  /** Lanes that share loads through broadcasts; 1 = no subgroups (lane shape only). */
  readonly subgroup: number;
  /** Subgroups per workgroup: independent tiles (lane shape), or parts of one (matrix shape). */
  readonly subgroups: number;
  /** Rows per subgroup or thread; in quads of rows for weight gradients. */
  readonly rows: number;
  /** Column quads per lane or thread. */
  readonly columns: number;
  /** K step of the tile and matrix shapes, in quads. */
  readonly depth: number;
  /** Matrix shape only. */
  readonly unit?: MatrixUnit;
}

export type GemmFamily = 'convolution' | 'weight_gradient';

/** The size of a matrix product: what a configuration is chosen by. */
export interface GemmProblem {
  readonly family: GemmFamily;
  readonly rows: number;
  readonly columnQuads: number;
  /** Steps of the sum. */
  readonly depth: number;
  /** Both operands are 16-bit floats. */
  readonly half?: boolean;
}

/** Problems of one bucket (sizes within a power of two) share a tuned configuration. */
export function tuningKey({ family, rows, columnQuads, depth }: GemmProblem): string {
  return [family, ...[rows, columnQuads, depth].map((size) => Math.round(Math.log2(Math.max(size, 1))))].join('/');
}

/** What selection needs to know of a device; plain data, so that the pass runs without one. */
export interface Target {
  readonly name: string;
  /** Subgroup size if it is fixed and subgroups are available, else 0. */
  readonly subgroupSize: number;
  /** A software driver: loads are expensive, workgroup memory is no faster than storage. */
  readonly software: boolean;
  /** Workgroups that keep the device busy; split sums aim at it. */
  readonly parallelism: number;
  readonly maxStorageBufferBindingSize: number;
  /** Whether kernels read their operands from images (storage textures) where that pays. */
  readonly images: boolean;
  /** Most lines of an image. */
  readonly maxImageSize: number;
  /** Whether 3x3 convolutions with fixed weights take Winograd's form. */
  readonly winograd: boolean;
  /**
   * Whether batch norms in training take their statistics from the convolution before, which spares a pass over its output. On software
   * drivers that pass costs less than the sums in the epilogue (docs/performance.md).
   */
  readonly epilogueStatistics: boolean;
  /** Matrix units that kernels may use; none on devices that are not opened with `subgroupMatrices`. */
  readonly matrixUnits?: readonly MatrixUnit[];
  /** Configurations that `aand tune` found, by tuning key; the table decides for the others. */
  readonly tuned?: Readonly<Record<string, GemmConfiguration>>;
  /** For what runs once, when a program is built: memory is new then, and touching it is what costs. */
  readonly once?: boolean;
  /** Forces the number of ranges of split sums, for tests. */
  readonly splits?: number;
  /** Forces a configuration, for tests and the tuner. */
  readonly force?: Partial<Record<GemmFamily, GemmConfiguration>>;
}

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

/** The matrix unit that multiplies such operands without rounding them first; the kernel's workgroup has 256 threads at most. */
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
      // Few lanes share a load of the source among few columns: four columns each make up for it (SwiftShader).
      if (size > 1 && size <= 4 && !target.images && columnQuads >= 4 * size) return lane(size, 2, 16, 4);
      // A subgroup with fewer rows wastes less on a small grid; with more, each load of weights serves more rows.
      if (size === 16 && target.images && !batched && problem.rows >= 64) return lane(size, 4, 64, 1);
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

/** Pages a grid of n workgroups into two dimensions below WebGPU's limit of 65,535. */
export function groups(count: number, z = 1): [number, number, number] {
  const limit = 65535;
  if (count <= limit) return [Math.max(count, 1), 1, z];
  const rows = Math.ceil(count / limit);
  return [Math.ceil(count / rows), rows, z];
}

/** Workgroups of 64 threads for n threads. */
export function threads(count: number): [number, number, number] {
  return groups(Math.ceil(count / 64));
}

/** An operation with its dispatches. */
export interface PlannedNode {
  readonly node: Node;
  readonly dispatches: readonly Dispatch[];
}

export function isTensor(binding: Binding): binding is Tensor {
  return 'role' in binding;
}

/** The tensor behind a binding, undefined for a page. */
export function boundTensor(binding: Binding): Tensor | undefined {
  if (isTensor(binding)) return binding;
  return 'tensor' in binding ? binding.tensor : undefined;
}

/** Bytes that a binding covers; none for a page, whose size is not the operation's. */
export function boundBytes(binding: Binding): number {
  if (isTensor(binding)) return byteLength(binding);
  return 'tensor' in binding ? binding.size : 0;
}

/** Bytes of every operand of a dispatch. */
export function dispatchBytes({ bindings }: Dispatch): number {
  return Object.values(bindings).reduce((sum, binding) => sum + boundBytes(binding), 0);
}

function printKernel({ kernel, workgroups }: Dispatch): string {
  return kernel === 'copy' ? 'copy' : `${variantKey(kernel)} <${workgroups}>`;
}

/** One line per dispatch. */
export function printPlan(plan: readonly PlannedNode[]): string {
  return plan
    .flatMap(({ node, dispatches }) =>
      dispatches.map((dispatch) => `${node.definition.name}: ${printKernel(dispatch)}`),
    )
    .join('\n');
}
