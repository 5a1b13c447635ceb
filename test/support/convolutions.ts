/** Convolutions of awkward shapes, and every kernel that can compute them. */
import { RandomStream } from '../../src/base/random.ts';
import {
  describeKernel,
  type MatrixFamilyName,
  type MatrixKernel,
} from '../../src/engine/device/families.ts';
import { type MatrixShape, matrix } from '../../src/engine/device/matrix_unit_kernels.ts';
import { profiles } from '../../src/engine/device/profiles.ts';
import type { MatrixUnit, Target } from '../../src/engine/device/target.ts';
import type { Tensor } from '../../src/engine/graph/tensor.ts';
import { conv2d } from '../../src/engine/ops/conv2d.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import type { Retargeting } from '../../src/engine/runtime/retarget.ts';
import { expectClose, features, type Operation, randomValues, run } from './operations.ts';
import * as oracle from './oracle.ts';

export interface ConvolutionCase {
  readonly x: readonly [number, number, number, number];
  readonly w: readonly [number, number, number, number];
  readonly geometry: oracle.Geometry;
}

/**
 * Shapes with K % 4 != 0, fewer rows than a tile, 1x1 images, odd sizes at stride 2, dilation, large kernels.
 */
export const convolutions: Record<string, ConvolutionCase> = {
  'odd channels': { x: [2, 5, 7, 5], w: [3, 3, 5, 7], geometry: { stride: 1, padding: 1, dilation: 1 } },
  'one pixel': { x: [1, 1, 1, 6], w: [1, 1, 6, 3], geometry: { stride: 1, padding: 0, dilation: 1 } },
  'one pixel under a padded 3x3': {
    x: [2, 1, 1, 4],
    w: [3, 3, 4, 5],
    geometry: { stride: 1, padding: 1, dilation: 1 },
  },
  'odd size at stride 2': {
    x: [2, 9, 7, 8],
    w: [3, 3, 8, 12],
    geometry: { stride: 2, padding: 1, dilation: 1 },
  },
  'stride 3 with a large kernel': {
    x: [1, 11, 13, 3],
    w: [5, 4, 3, 6],
    geometry: { stride: 3, padding: 2, dilation: 1 },
  },
  'dilation and stride': {
    x: [1, 12, 9, 4],
    w: [3, 3, 4, 4],
    geometry: { stride: 2, padding: 2, dilation: 2 },
  },
  'more rows and columns than a tile': {
    x: [2, 9, 9, 36],
    w: [1, 1, 36, 76],
    geometry: { stride: 1, padding: 0, dilation: 1 },
  },
  'a stem': { x: [2, 12, 11, 3], w: [7, 7, 3, 16], geometry: { stride: 2, padding: 3, dilation: 1 } },
  'lines of whole blocks': {
    x: [2, 6, 16, 16],
    w: [3, 3, 16, 48],
    geometry: { stride: 2, padding: 1, dilation: 1 },
  },
  'many images of few pixels': {
    x: [11, 2, 3, 8],
    w: [2, 2, 8, 20],
    geometry: { stride: 1, padding: 0, dilation: 1 },
  },
};

export function convolutionOperation({ x, w, geometry }: ConvolutionCase): Operation {
  return {
    inputs: { x: features(x), w: { shape: w, layout: 'filter' } },
    differentiable: ['x', 'w'],
    record: (tape, inputs) => conv2d(tape, inputs.x as Tensor, inputs.w as Tensor, undefined, geometry),
    reference: (inputs) => oracle.conv2d(inputs.x as oracle.Array64, inputs.w as oracle.Array64, geometry),
  };
}

/**
 * Matrix units, which no processor's driver has: their kernel with plain arithmetic in the units' place. They
 * are larger than real ones, because a processor's driver takes minutes to compile many small ones.
 */
const emulated: readonly (readonly [MatrixUnit, MatrixShape])[] = [
  [
    { component: 'f32', rows: 16, columns: 16, depth: 8, emulated: true },
    { subgroups: [2, 2], rows: 16, columns: 32, depth: 16 },
  ],
  // More threads than blocks of weights.
  [
    { component: 'f32', rows: 16, columns: 16, depth: 8, emulated: true },
    { subgroups: [2, 1], rows: 32, columns: 16, depth: 8 },
  ],
];

function candidatesOf(family: MatrixFamilyName, target: Target): MatrixKernel[] {
  // What profiles offer where kernels choose their lanes is tried with those of this device.
  const targets = [
    target,
    { ...target, subgroupSizeControl: true },
    // A card of many units.
    { ...target, architecture: 'rdna-3', parallelism: 768 },
  ];
  const all = profiles
    .flatMap(({ kernels }) => targets.flatMap((each) => kernels[family].candidates(each)))
    .map(({ subgroupSize: _, ...kernel }) => kernel);
  return [...new Map(all.map((kernel) => [describeKernel(kernel), kernel])).values()];
}

/** Tiles of the least outputs per thread: the larger ones are the same text, longer (full/convolutions). */
const isSmallTile = ({ module, conditions, constants = {} }: MatrixKernel) => {
  const { ROWS: rows = 0, COLUMNS: columns = 0 } = constants;
  if (conditions?.shared_columns) return rows <= 2 && columns <= 2;
  return module !== 'conv2d_tile' || rows * columns <= 4;
};

/** Every candidate of every profile but large tiles, in lanes that this target has, and those for matrix units. */
export function convolutionCandidates(target: Target): MatrixKernel[] {
  const subgroupSize = target.subgroupSize > 1 ? target.subgroupSize : 8;
  const units = emulated.map(([unit, shape]) => matrix(subgroupSize, unit, shape));
  return [...candidatesOf('convolution', target).filter(isSmallTile), ...units];
}

/** The tiles that {@link convolutionCandidates} leaves out. */
export function largeTiles(target: Target): MatrixKernel[] {
  return candidatesOf('convolution', target).filter((kernel) => !isSmallTile(kernel));
}

/** Every candidate of every profile, in lanes that this target has. */
export function weightGradientCandidates(target: Target): MatrixKernel[] {
  return candidatesOf('weight_gradient', target);
}

/**
 * Random operands of a convolution, a seed of its gradients, and the float64 reference of all three results.
 */
export function reference(name: string, c: ConvolutionCase) {
  const random = new RandomStream(name);
  const values = { x: randomValues(features(c.x), random), w: randomValues(features(c.w), random) };
  const [x, w] = [oracle.array(c.x, values.x), oracle.array(c.w, values.w)];
  const y = oracle.conv2d(x, w, c.geometry);
  const g = Float32Array.from({ length: y.data.length }, () => random.uniform(-1, 1));
  const { dx, dw } = oracle.conv2dGradients(x, w, oracle.array(y.shape, g), c.geometry);
  return { values, g, y, dx, dw };
}

/**
 * Runs a convolution and its gradients with the choices of another device, compares, and returns the results.
 */
export async function expectConvolution(
  engine: Engine,
  c: ConvolutionCase,
  { values, g, y, dx, dw }: ReturnType<typeof reference>,
  choices: Retargeting,
): Promise<Record<string, Float32Array>> {
  const result = await run(engine, convolutionOperation(c), values, g, choices);
  const [kh, kw, ci, co] = c.w;
  expectClose(result.y as Float32Array, y.data, kh * kw * ci, 'y');
  expectClose(result.d_x as Float32Array, dx.data, kh * kw * co, 'd_x');
  expectClose(result.d_w as Float32Array, dw.data, y.data.length / co, 'd_w');
  return result;
}
