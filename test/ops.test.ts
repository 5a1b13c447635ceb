/** Every operation at random shapes against float64 references; every configuration of the matrix kernels; repeatability. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Engine } from '../src/engine/device.ts';
import { gradients } from '../src/engine/gradients.ts';
import { amplificationLoss } from '../src/engine/ops/amplification_loss.ts';
import { batchNorm } from '../src/engine/ops/batch_norm.ts';
import { concat } from '../src/engine/ops/concat.ts';
import { conv2d, convTranspose2d } from '../src/engine/ops/conv2d.ts';
import { cosineDistance } from '../src/engine/ops/cosine_distance.ts';
import { add, relu } from '../src/engine/ops/elementwise.ts';
import { focalLoss } from '../src/engine/ops/focal_loss.ts';
import { gatedResidual, matchingGate } from '../src/engine/ops/gate.ts';
import { maxPool2d } from '../src/engine/ops/max_pool2d.ts';
import { l2Normalize } from '../src/engine/ops/normalize.ts';
import { mean, meanSquareError } from '../src/engine/ops/reduce.ts';
import { gaussianBlur, upsampleBilinear } from '../src/engine/ops/resample.ts';
import { topkMean } from '../src/engine/ops/topk_mean.ts';
import { ParameterSet, ParameterStore } from '../src/engine/parameters.ts';
import { Program } from '../src/engine/program.ts';
import { RandomStream } from '../src/engine/random.ts';
import { type GemmConfiguration, gemmConfigurations, type Target } from '../src/engine/select.ts';
import { Tape } from '../src/engine/tape.ts';
import { elements, type Layout, type Tensor } from '../src/engine/tensor.ts';
import * as oracle from './support/oracle.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

interface Input {
  readonly shape: readonly number[];
  readonly layout: Layout;
  readonly low?: number;
  readonly high?: number;
  /** Values instead of random ones. */
  readonly values?: Float32Array;
}

type Inputs = Record<string, Input>;

interface Operation {
  readonly inputs: Inputs;
  /** Inputs whose gradient is compared. */
  readonly differentiable: readonly string[];
  readonly record: (tape: Tape, inputs: Record<string, Tensor>) => Tensor;
  readonly reference: (inputs: Record<string, oracle.Array64>) => oracle.Array64;
}

function randomValues({ shape, low = -1, high = 1, values }: Input, random: RandomStream): Float32Array {
  return values ?? Float32Array.from({ length: elements(shape) }, () => random.uniform(low, high));
}

async function run(
  op: Operation,
  values: Record<string, Float32Array>,
  g?: Float32Array,
  target: Target = engine.target,
): Promise<Record<string, Float32Array>> {
  const tape = new Tape(new ParameterSet());
  const inputs = Object.fromEntries(
    Object.entries(op.inputs).map(([name, { shape, layout }]) => [name, tape.input(name, shape, layout)]),
  );
  const y = op.record(tape, inputs);
  const outputs: Record<string, Tensor> = { y };
  const given: Record<string, Float32Array> = { ...values };
  if (g) {
    const seed = tape.input('seed', y.shape, y.layout);
    given.seed = g;
    const wanted = op.differentiable.map((name) => inputs[name] as Tensor);
    const found = gradients(tape, new Map([[y, seed]]), wanted);
    op.differentiable.forEach((name, i) => {
      outputs[`d_${name}`] = found.get(wanted[i] as Tensor) as Tensor;
    });
  }
  const store = new ParameterStore(engine, tape.parameters);
  // A target of its own forces kernel configurations without touching the engine.
  const proxy = new Proxy(engine, {
    get: (object, key) => (key === 'target' ? target : bound(Reflect.get(object, key), object)),
  });
  const program = await Program.compile(proxy, tape, { outputs, store });
  try {
    return await program.run(given);
  } finally {
    program.destroy();
  }
}

function bound(value: unknown, object: object): unknown {
  return typeof value === 'function' ? value.bind(object) : value;
}

function expectClose(actual: Float32Array, expected: Float64Array, terms: number, what: string): void {
  let largest = 0;
  for (const value of expected) largest = Math.max(largest, Math.abs(value));
  // Rounding errors add up like a random walk: with the square root of the number of terms.
  const allowed = 1e-6 + 4e-7 * Math.sqrt(terms) * Math.max(largest, 1e-3) + 2e-6 * largest;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs((actual[i] ?? Number.NaN) - (expected[i] as number));
    worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
  }
  expect(worst, `${what}: largest error ${worst}, allowed ${allowed}`).toBeLessThanOrEqual(allowed);
}

async function check(op: Operation, seed: number, terms: number, what: string): Promise<void> {
  const random = new RandomStream('ops test', seed);
  const values = Object.fromEntries(
    Object.entries(op.inputs).map(([name, input]) => [name, randomValues(input, random)]),
  );
  const arrays = Object.fromEntries(
    Object.entries(op.inputs).map(([name, { shape }]) => [name, oracle.array(shape, values[name])]),
  );
  const expected = op.reference(arrays);
  const g = Float32Array.from({ length: expected.data.length }, () => random.uniform(-1, 1));
  const result = await run(op, values, g);
  expectClose(result.y as Float32Array, expected.data, terms, `${what} y`);
  for (const name of op.differentiable) {
    const f = (x: oracle.Array64) => op.reference({ ...arrays, [name]: x });
    const slope = oracle.finiteDifferences(f, arrays[name] as oracle.Array64, Float64Array.from(g));
    expectClose(result[`d_${name}`] as Float32Array, slope, terms * 4, `${what} d_${name}`);
  }
}

const map = (shape: readonly number[], low = -1, high = 1): Input => ({ shape, layout: 'dense', low, high });
const features = (shape: readonly number[], low = -1, high = 1): Input => ({ shape, layout: 'channels', low, high });

/** Distinct, well separated values in random order, so that finite differences see no tie. */
function separated(shape: readonly number[], layout: Layout): Input {
  const count = elements(shape);
  const order = new RandomStream('separated', count).sample(count, count);
  return { shape, layout, values: Float32Array.from(order, (value) => (value + 0.3) / count - 0.5) };
}

const operations: Record<string, Operation & { terms: number }> = {
  add: {
    terms: 1,
    inputs: { a: features([2, 3, 5, 6]), b: features([2, 3, 5, 6]) },
    differentiable: ['a', 'b'],
    record: (tape, { a, b }) => add(tape, a as Tensor, b as Tensor),
    reference: ({ a, b }) => oracle.add(a as oracle.Array64, b as oracle.Array64),
  },
  'add without a batch': {
    terms: 1,
    inputs: { a: features([3, 2, 2, 5]), b: features([1, 2, 2, 5]) },
    differentiable: ['a'],
    record: (tape, { a, b }) => add(tape, a as Tensor, b as Tensor),
    reference: ({ a, b }) => oracle.add(a as oracle.Array64, b as oracle.Array64),
  },
  relu: {
    terms: 1,
    inputs: { x: separated([2, 3, 3, 7], 'channels') },
    differentiable: ['x'],
    record: (tape, { x }) => relu(tape, x as Tensor),
    reference: ({ x }) => oracle.relu(x as oracle.Array64),
  },
  concat: {
    terms: 1,
    inputs: { a: features([2, 2, 3, 5]), b: features([2, 2, 3, 3]), c: features([2, 2, 3, 8]) },
    differentiable: ['a', 'b', 'c'],
    record: (tape, { a, b, c }) => concat(tape, [a as Tensor, b as Tensor, c as Tensor]),
    reference: ({ a, b, c }) => oracle.concat([a, b, c] as oracle.Array64[]),
  },
  'batch_norm in training': {
    terms: 40,
    inputs: { x: features([3, 4, 5, 6], -1, 3), w: features([6], 0.5, 1.5), b: features([6]) },
    differentiable: ['x', 'w', 'b'],
    record: (tape, { x, w, b }) => {
      const state = (name: string) => tape.parameter(name, [6], 'channels', 'state');
      return batchNorm(
        tape,
        x as Tensor,
        { weight: w as Tensor, bias: b as Tensor, running_mean: state('mean'), running_var: state('var') },
        { training: true },
      );
    },
    reference: ({ x, w, b }) => oracle.batchNorm(x as oracle.Array64, w as oracle.Array64, b as oracle.Array64, 1e-5),
  },
  'batch_norm with residual and relu': {
    terms: 60,
    inputs: {
      x: features([2, 5, 3, 4], -1, 3),
      w: features([4], 0.5, 1.5),
      b: features([4]),
      r: features([2, 5, 3, 4]),
    },
    differentiable: ['x', 'w', 'b', 'r'],
    record: (tape, { x, w, b, r }) => {
      const state = (name: string) => tape.parameter(name, [4], 'channels', 'state');
      return batchNorm(
        tape,
        x as Tensor,
        { weight: w as Tensor, bias: b as Tensor, running_mean: state('mean'), running_var: state('var') },
        { training: true, relu: true, residual: r as Tensor },
      );
    },
    reference: ({ x, w, b, r }) =>
      oracle.relu(
        oracle.add(
          oracle.batchNorm(x as oracle.Array64, w as oracle.Array64, b as oracle.Array64, 1e-5),
          r as oracle.Array64,
        ),
      ),
  },
  max_pool2d: {
    terms: 1,
    inputs: { x: separated([2, 7, 6, 3], 'channels') },
    differentiable: ['x'],
    record: (tape, { x }) => maxPool2d(tape, x as Tensor, { kernel: 3, stride: 2, padding: 1 }),
    reference: ({ x }) => oracle.maxPool2d(x as oracle.Array64, 3, 2, 1),
  },
  l2_normalize: {
    terms: 10,
    inputs: { x: features([1, 3, 2, 7]) },
    differentiable: ['x'],
    record: (tape, { x }) => l2Normalize(tape, x as Tensor),
    reference: ({ x }) => oracle.l2Normalize(x as oracle.Array64, 1e-12),
  },
  matching_gate: {
    terms: 60,
    inputs: { q: features([2, 3, 1, 6]), k: { shape: [1, 1, 10, 6], layout: 'filter' } },
    differentiable: ['q', 'k'],
    record: (tape, { q, k }) => matchingGate(tape, q as Tensor, k as Tensor, 0.2),
    reference: ({ q, k }) => {
      const query = oracle.l2Normalize(q as oracle.Array64, 1e-12);
      const keys = oracle.l2Normalize(k as oracle.Array64, 1e-12);
      const cosines = oracle.array([2, 3, 1, 10]);
      for (let p = 0; p < 6; p++)
        for (let j = 0; j < 10; j++)
          for (let c = 0; c < 6; c++)
            cosines.data[p * 10 + j] =
              (cosines.data[p * 10 + j] as number) +
              (query.data[p * 6 + c] as number) * (keys.data[j * 6 + c] as number);
      return oracle.softmaxGate(cosines, 0.2);
    },
  },
  gated_residual: {
    terms: 8,
    inputs: { x: features([2, 2, 3, 5]), r: features([2, 2, 3, 5], -3, 3), g: map([2, 2, 3], 0, 1) },
    differentiable: ['x', 'r', 'g'],
    record: (tape, { x, r, g }) => gatedResidual(tape, x as Tensor, r as Tensor, g as Tensor),
    reference: ({ x, r, g }) => oracle.gatedResidual(x as oracle.Array64, r as oracle.Array64, g as oracle.Array64),
  },
  'cosine_distance map': {
    terms: 20,
    inputs: { a: features([2, 2, 3, 7]), b: features([2, 2, 3, 7]) },
    differentiable: ['a', 'b'],
    record: (tape, { a, b }) => cosineDistance(tape, a as Tensor, b as Tensor).map,
    reference: ({ a, b }) => oracle.cosineDistance(a as oracle.Array64, b as oracle.Array64, 1e-8).map,
  },
  'cosine_distance flattened': {
    terms: 60,
    inputs: { a: features([2, 2, 3, 7]), b: features([2, 2, 3, 7]) },
    differentiable: ['a', 'b'],
    record: (tape, { a, b }) => cosineDistance(tape, a as Tensor, b as Tensor).flat,
    reference: ({ a, b }) => oracle.cosineDistance(a as oracle.Array64, b as oracle.Array64, 1e-8).flat,
  },
  topk_mean: {
    terms: 4,
    inputs: { x: separated([2, 9, 10], 'dense') },
    differentiable: ['x'],
    record: (tape, { x }) => topkMean(tape, x as Tensor, 10),
    reference: ({ x }) => oracle.topkMean(x as oracle.Array64, 10),
  },
  focal_loss: {
    terms: 30,
    inputs: {
      g: map([2, 3, 5], 0.02, 0.98),
      m: { ...map([2, 3, 5]), values: Float32Array.from({ length: 30 }, (_, i) => (i % 3) >> 1) },
    },
    differentiable: ['g'],
    record: (tape, { g, m }) => focalLoss(tape, g as Tensor, m as Tensor).loss,
    reference: ({ g, m }) => oracle.focalLoss(g as oracle.Array64, m as oracle.Array64, 0.8),
  },
  amplification_loss: {
    terms: 400,
    inputs: { n: features([1, 20, 1, 6]), f: features([1, 7, 1, 6]), a: features([1, 7, 1, 6]) },
    differentiable: ['a'],
    record: (tape, { n, f, a }) =>
      amplificationLoss(tape, {
        normal: n as Tensor,
        abnormal: f as Tensor,
        amplified: a as Tensor,
        counts: tape.constant('counts', [2], 'dense', new Float32Array([20, 7])),
      }),
    reference: ({ n, f, a }) =>
      oracle.amplificationLoss(n as oracle.Array64, f as oracle.Array64, a as oracle.Array64, 0.3),
  },
  'amplification_loss over several chunks of normal rows': {
    terms: 7000,
    inputs: { n: features([1, 1100, 1, 6]), f: features([1, 5, 1, 6]), a: features([1, 5, 1, 6]) },
    differentiable: ['a'],
    record: (tape, { n, f, a }) =>
      amplificationLoss(tape, {
        normal: n as Tensor,
        abnormal: f as Tensor,
        amplified: a as Tensor,
        counts: tape.constant('counts', [2], 'dense', new Float32Array([1100, 5])),
      }),
    reference: ({ n, f, a }) =>
      oracle.amplificationLoss(n as oracle.Array64, f as oracle.Array64, a as oracle.Array64, 0.3),
  },
  upsample_bilinear: {
    terms: 10,
    inputs: { x: map([2, 4, 3]) },
    differentiable: ['x'],
    record: (tape, { x }) => upsampleBilinear(tape, x as Tensor, 9, 8),
    reference: ({ x }) => oracle.upsampleBilinear(x as oracle.Array64, 9, 8),
  },
  'upsample_bilinear from one pixel': {
    terms: 10,
    inputs: { x: map([2, 1, 1]) },
    differentiable: ['x'],
    record: (tape, { x }) => upsampleBilinear(tape, x as Tensor, 3, 2),
    reference: ({ x }) => oracle.upsampleBilinear(x as oracle.Array64, 3, 2),
  },
  gaussian_blur: {
    terms: 30,
    inputs: { x: map([2, 7, 5]) },
    differentiable: ['x'],
    record: (tape, { x }) => gaussianBlur(tape, x as Tensor, 1.5),
    reference: ({ x }) => oracle.gaussianBlur(x as oracle.Array64, 1.5),
  },
  mean: {
    terms: 70,
    inputs: { x: map([70]) },
    differentiable: ['x'],
    record: (tape, { x }) => mean(tape, x as Tensor),
    reference: ({ x }) => oracle.array([1], [(x as oracle.Array64).data.reduce((sum, value) => sum + value / 70, 0)]),
  },
  mean_square_error: {
    terms: 60,
    inputs: { a: features([2, 2, 3, 5]), b: features([2, 2, 3, 5]) },
    differentiable: ['a', 'b'],
    record: (tape, { a, b }) => meanSquareError(tape, a as Tensor, b as Tensor),
    reference: ({ a, b }) => oracle.meanSquareError(a as oracle.Array64, b as oracle.Array64),
  },
};

describe('operations against float64 references and finite differences', () => {
  for (const [name, op] of Object.entries(operations))
    test(name, async () => {
      for (const seed of [1, 2]) await check(op, seed, op.terms, name);
    });
});

interface ConvolutionCase {
  readonly x: readonly [number, number, number, number];
  readonly w: readonly [number, number, number, number];
  readonly geometry: oracle.Geometry;
}

/** Shapes with K % 4 != 0, fewer rows than a tile, 1x1 images, odd sizes at stride 2, dilation, large kernels. */
const convolutions: Record<string, ConvolutionCase> = {
  'odd channels': { x: [2, 5, 7, 5], w: [3, 3, 5, 7], geometry: { stride: 1, padding: 1, dilation: 1 } },
  'one pixel': { x: [1, 1, 1, 6], w: [1, 1, 6, 3], geometry: { stride: 1, padding: 0, dilation: 1 } },
  'one pixel under a padded 3x3': {
    x: [2, 1, 1, 4],
    w: [3, 3, 4, 5],
    geometry: { stride: 1, padding: 1, dilation: 1 },
  },
  'odd size at stride 2': { x: [2, 9, 7, 8], w: [3, 3, 8, 12], geometry: { stride: 2, padding: 1, dilation: 1 } },
  'stride 3 with a large kernel': {
    x: [1, 11, 13, 3],
    w: [5, 4, 3, 6],
    geometry: { stride: 3, padding: 2, dilation: 1 },
  },
  'dilation and stride': { x: [1, 12, 9, 4], w: [3, 3, 4, 4], geometry: { stride: 2, padding: 2, dilation: 2 } },
  'more rows and columns than a tile': {
    x: [2, 9, 9, 36],
    w: [1, 1, 36, 76],
    geometry: { stride: 1, padding: 0, dilation: 1 },
  },
};

function convolutionOperation({ x, w, geometry }: ConvolutionCase): Operation {
  return {
    inputs: { x: features(x), w: { shape: w, layout: 'filter' } },
    differentiable: ['x', 'w'],
    record: (tape, inputs) => conv2d(tape, inputs.x as Tensor, inputs.w as Tensor, undefined, geometry),
    reference: (inputs) => oracle.conv2d(inputs.x as oracle.Array64, inputs.w as oracle.Array64, geometry),
  };
}

function describeConfiguration(c: GemmConfiguration): string {
  return c.shape === 'lane'
    ? `lane ${c.subgroup}x${c.subgroups} rows ${c.rows} columns ${c.columns}`
    : `tile rows ${c.rows} columns ${c.columns} depth ${c.depth}`;
}

describe('convolutions', () => {
  test('the reference gradients agree with finite differences', () => {
    const random = new RandomStream('reference');
    const { x, w, geometry } = convolutions['dilation and stride'] as ConvolutionCase;
    const fill = (shape: readonly number[]) =>
      oracle.array(
        shape,
        Float64Array.from({ length: elements(shape) }, () => random.uniform(-1, 1)),
      );
    const [ax, aw] = [fill(x), fill(w)];
    const dy = fill(oracle.conv2d(ax, aw, geometry).shape);
    const { dx, dw } = oracle.conv2dGradients(ax, aw, dy, geometry);
    const slopeX = oracle.finiteDifferences((v) => oracle.conv2d(v, aw, geometry), ax, dy.data);
    const slopeW = oracle.finiteDifferences((v) => oracle.conv2d(ax, v, geometry), aw, dy.data);
    for (let i = 0; i < slopeX.length; i++) expect(dx.data[i]).toBeCloseTo(slopeX[i] as number, 6);
    for (let i = 0; i < slopeW.length; i++) expect(dw.data[i]).toBeCloseTo(slopeW[i] as number, 6);
  });

  test('every configuration meets the reference at every shape, and repeats bit for bit', {
    timeout: 600_000,
  }, async () => {
    // One workgroup suffices for these shapes on a real GPU: parallelism is raised so that weight gradients are split.
    const base: Target = { ...engine.target, parallelism: 64 };
    const forward = gemmConfigurations('convolution', base);
    const weight = gemmConfigurations('weight_gradient', base);
    const rounds = Math.max(forward.length, weight.length);
    const covered = new Set<string>();
    for (let round = 0; round < rounds; round++) {
      const convolution = forward[round % forward.length] as GemmConfiguration;
      const weight_gradient = weight[round % weight.length] as GemmConfiguration;
      covered.add(describeConfiguration(convolution)).add(`weight gradient ${describeConfiguration(weight_gradient)}`);
      const target: Target = { ...base, force: { convolution, weight_gradient } };
      for (const [name, c] of Object.entries(convolutions)) {
        const random = new RandomStream(name);
        const op = convolutionOperation(c);
        const values = { x: randomValues(features(c.x), random), w: randomValues(features(c.w), random) };
        const [x, w] = [oracle.array(c.x, values.x), oracle.array(c.w, values.w)];
        const y = oracle.conv2d(x, w, c.geometry);
        const g = Float32Array.from({ length: y.data.length }, () => random.uniform(-1, 1));
        const { dx, dw } = oracle.conv2dGradients(x, w, oracle.array(y.shape, g), c.geometry);
        const result = await run(op, values, g, target);
        const what = `${name}, ${describeConfiguration(convolution)}`;
        const [kh, kw, ci, co] = c.w;
        expectClose(result.y as Float32Array, y.data, kh * kw * ci, `${what} y`);
        expectClose(result.d_x as Float32Array, dx.data, kh * kw * co, `${what} d_x`);
        expectClose(
          result.d_w as Float32Array,
          dw.data,
          y.data.length / co,
          `${name}, ${describeConfiguration(weight_gradient)} d_w`,
        );
        const again = await run(op, values, g, target);
        for (const [key, first] of Object.entries(result)) expect(again[key], `${what} ${key} repeats`).toEqual(first);
      }
    }
    console.log(`configurations: ${[...covered].join('; ')}`);
  });

  test('a transposed convolution is the adjoint of the convolution', async () => {
    const shape = { x: [2, 3, 4, 6], w: [2, 2, 5, 6] } as const;
    await check(
      {
        inputs: { x: features(shape.x), w: { shape: shape.w, layout: 'filter' } },
        differentiable: ['x', 'w'],
        record: (tape, { x, w }) => convTranspose2d(tape, x as Tensor, w as Tensor, { stride: 2 }),
        reference: ({ x, w }) =>
          oracle.conv2dGradients(oracle.array([2, 6, 8, 5]), w as oracle.Array64, x as oracle.Array64, {
            stride: 2,
            padding: 0,
            dilation: 1,
          }).dx,
      },
      3,
      40,
      'conv_transpose2d',
    );
  });

  test('shapes that do not fit are refused with the operation and the shapes', () => {
    const tape = new Tape(new ParameterSet());
    const x = tape.input('x', [1, 8, 8, 3], 'channels');
    const w = tape.input('w', [3, 3, 4, 8], 'filter');
    expect(() => conv2d(tape, x, w)).toThrow(
      /conv2d\(x x\[1,8,8,3\], w w\[3,3,4,8\]\): the weights take 4 channels, x has 3/,
    );
  });
});
