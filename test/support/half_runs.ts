/**
 * Products that are summed up in 16 bits over short runs: their cases, and the comparison with float64 within
 * the bound of their roundings.
 */
import { expect } from 'vitest';
import { floatToHalf, halfToFloat } from '../../src/base/half.ts';
import { RandomStream } from '../../src/base/random.ts';
import {
  type ConvolutionShape,
  convolutionFamily,
  convolutionTile,
  halfTiles,
  smallTiles,
} from '../../src/engine/device/convolution_tiles.ts';
import type { MatrixKernel } from '../../src/engine/device/families.ts';
import { gpu } from '../../src/engine/device/gpu.ts';
import type { DeviceProfile } from '../../src/engine/device/profile.ts';
import { ParameterSet } from '../../src/engine/graph/parameter_set.ts';
import { Tape } from '../../src/engine/graph/tape.ts';
import { conv2d, convTranspose2d } from '../../src/engine/ops/conv2d.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { Program } from '../../src/engine/runtime/program.ts';
import { retarget } from '../../src/engine/runtime/retarget.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import * as oracle from './oracle.ts';

/** The smallest shape. */
export const smallRuns: ConvolutionShape = { outputs: [2, 1], depth: 4, halfRuns: true };

/**
 * A GPU that sums up in 16 bits, in tiles that this driver compiles soon: it takes a minute for the larger
 * ones of AMD's profile, whose sums are the same.
 */
export const runsProfile: DeviceProfile = {
  ...gpu,
  name: 'sums of short runs',
  kernels: {
    ...gpu.kernels,
    convolution: convolutionFamily(
      () => smallTiles,
      () => 0,
      () => ({ whole: [smallRuns], sliced: halfTiles.sliced.slice(-1) }),
    ),
  },
};

/** Every shape that AMD's profile has. */
export const runsKernels: readonly MatrixKernel[] = [...halfTiles.whole, ...halfTiles.sliced].map((shape) =>
  convolutionTile(shape),
);

export interface RunsCase {
  readonly x: readonly [number, number, number, number];
  /** As the convolution has them: of a transposed one x has the last number of channels. */
  readonly w: readonly [number, number, number, number];
  readonly geometry: oracle.Geometry;
  readonly transposed?: boolean;
  /** Values of both operands lie between these and their negatives. */
  readonly largest?: readonly [x: number, w: number];
  /** No value is negative: sums grow as far as they can. */
  readonly positive?: boolean;
  readonly splits?: number;
}

const rounded = (value: number) => halfToFloat(floatToHalf(value));
export const one: oracle.Geometry = { stride: 1, padding: 0, dilation: 1 };
const absolute = ({ shape, data }: oracle.Array64) => oracle.array(shape, data.map(Math.abs));

/** The values of a case, which 16 bits hold exactly; weights differ by a power of ten from row to row. */
export function operands({ x, w, largest = [1, 1], positive = false }: RunsCase) {
  const random = new RandomStream(`runs ${x} ${w}`);
  const draw = (size: number, most: number, scale: (i: number) => number) =>
    Float32Array.from({ length: size }, (_, i) =>
      rounded(random.uniform(positive ? 0.5 : -1, 1) * most * scale(i)),
    );
  const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  const spread = positive ? () => 1 : (i: number) => 10 ** -(i % 3);
  return { x: draw(product(x), largest[0], () => 1), w: draw(product(w), largest[1], spread) };
}

/** The product in float64, or of the magnitudes. */
export function reference(
  c: RunsCase,
  values: ReturnType<typeof operands>,
  of: (a: oracle.Array64) => oracle.Array64,
) {
  const [x, w] = [of(oracle.array(c.x, values.x)), of(oracle.array(c.w, values.w))];
  if (!c.transposed) return oracle.conv2d(x, w, c.geometry).data;
  const [n, height, width] = c.x;
  const size = (extent: number, k: number) => (extent - 1) * c.geometry.stride + k;
  const input = oracle.array([n, size(height, c.w[0]), size(width, c.w[1]), c.w[2]]);
  return oracle.conv2dGradients(input, w, x, c.geometry).dx.data;
}

/** The product on the device: activations become 16 bits by a product with ones, which is exact. */
export async function onDevice(
  engine: Engine,
  c: RunsCase,
  values: ReturnType<typeof operands>,
  convolution?: MatrixKernel,
) {
  const set = new ParameterSet({ half: true });
  const tape = new Tape(set);
  const input = tape.input('x', c.x, 'channels');
  const channels = c.x[3];
  const ones = tape.parameter('ones', [1, 1, channels, channels], 'filter', 'model');
  const w = tape.parameter('w', c.w, 'filter', 'model');
  const x = conv2d(tape, input, ones);
  const y = c.transposed
    ? convTranspose2d(tape, x, w, { stride: c.geometry.stride })
    : conv2d(tape, x, w, undefined, c.geometry);
  const store = new ParameterStore(engine, set);
  store.write(
    'ones',
    Float32Array.from({ length: channels ** 2 }, (_, i) => (i % (channels + 1) ? 0 : 1)),
  );
  store.write('w', values.w);
  const choices = {
    profile: gpu,
    force: { ...(convolution && { convolution }), ...(c.splits && { splits: c.splits }) },
  };
  const program = await Program.compile(retarget(engine, choices), tape, { outputs: { y }, store });
  try {
    const first = await program.run({ x: values.x });
    const again = await program.run({ x: values.x });
    expect(again.y).toEqual(first.y);
    return { y: first.y as Float32Array, plan: program.plan };
  } finally {
    program.destroy();
    store.destroy();
  }
}

// A run of n products in 16 bits is off by less than n roundings of the sum of its magnitudes.
const runError = (16 * 1.01) / 2 ** 11;

/** Checks every value, and returns the root of the mean square of errors over that of the values. */
export async function expectWithinBound(
  engine: Engine,
  c: RunsCase,
  convolution: MatrixKernel,
): Promise<number> {
  const values = operands(c);
  const expected = reference(c, values, (a) => a);
  const magnitudes = reference(c, values, absolute);
  const { y, plan } = await onDevice(engine, c, values, convolution);
  expect(plan).toContain('half_runs.scale_runs');
  expect(plan).toMatch(/conv2d_tile\.main\S*,half_runs/);
  // What 16 bits cannot tell from zero: 2^-25 of the scale for each term, of weights as of products.
  const terms = c.w[0] * c.w[1] * (c.transposed ? c.w[3] : c.w[2]);
  const [a = 1, b = 1] = c.largest ?? [];
  const least = (terms * 16 * b * (1 + a)) / 2 ** 25;
  let [errors, squares] = [0, 0];
  y.forEach((value, i) => {
    const error = Math.abs(value - (expected[i] as number));
    const allowed = runError * (magnitudes[i] as number) + least;
    if (!(error <= allowed)) expect.fail(`value ${i}: ${value} for ${expected[i]}, allowed ${allowed}`);
    errors += error ** 2;
    squares += (expected[i] as number) ** 2;
  });
  return Math.sqrt(errors / squares);
}

export const runsCases: Readonly<Record<string, RunsCase>> = {
  '3x3': { x: [2, 7, 9, 36], w: [3, 3, 36, 68], geometry: { stride: 1, padding: 1, dilation: 1 } },
  'stride 2 and dilation 2': {
    x: [1, 11, 13, 20],
    w: [3, 3, 20, 40],
    geometry: { stride: 2, padding: 2, dilation: 2 },
  },
  '1x1 of few channels': { x: [1, 5, 6, 7], w: [1, 1, 7, 5], geometry: one },
  'a transposed one': {
    x: [2, 5, 6, 40],
    w: [4, 4, 24, 40],
    geometry: { stride: 2, padding: 0, dilation: 1 },
    transposed: true,
  },
  'a split sum': {
    x: [1, 6, 6, 68],
    w: [3, 3, 68, 12],
    geometry: { stride: 1, padding: 1, dilation: 1 },
    splits: 3,
  },
};

/** Checks a case, and that 16 bits were used: errors are larger than those of sums in 32 bits. */
export async function expectRuns(engine: Engine, c: RunsCase, kernel: MatrixKernel): Promise<void> {
  if (!engine.target.half) throw new Error('this driver has no 16-bit floats: the test cannot be run');
  const error = await expectWithinBound(engine, c, kernel);
  expect(error).toBeGreaterThan(2 ** -16);
  // A few roundings of 16 bits.
  expect(error).toBeLessThan(2 ** -10);
}
