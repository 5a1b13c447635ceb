/**
 * Every operation at random shapes against float64 references; every configuration of the matrix kernels;
 * repeatability.
 */
import { afterAll, beforeAll, describe, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { elements, type Layout, type Tensor } from '../src/engine/graph/tensor.ts';
import { amplificationLoss } from '../src/engine/ops/amplification_loss.ts';
import { globalAveragePool } from '../src/engine/ops/average_pool.ts';
import { batchNorm } from '../src/engine/ops/batch_norm.ts';
import { concat } from '../src/engine/ops/concat.ts';
import { cosineDistance } from '../src/engine/ops/cosine_distance.ts';
import { crossEntropy } from '../src/engine/ops/cross_entropy.ts';
import { add, relu } from '../src/engine/ops/elementwise.ts';
import { focalLoss } from '../src/engine/ops/focal_loss.ts';
import { gatedResidual, matchingGate } from '../src/engine/ops/gate.ts';
import { maxPool2d } from '../src/engine/ops/max_pool2d.ts';
import { l2Normalize } from '../src/engine/ops/normalize.ts';
import { mean, meanSquareError } from '../src/engine/ops/reduce.ts';
import { gaussianBlur, upsampleBilinear } from '../src/engine/ops/resample.ts';
import { topkMean } from '../src/engine/ops/topk_mean.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import {
  check,
  expectClose,
  features,
  type Input,
  map,
  type Operation,
  randomValues,
  run,
} from './support/operations.ts';
import * as oracle from './support/oracle.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

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
    reference: ({ x, w, b }) =>
      oracle.batchNorm(x as oracle.Array64, w as oracle.Array64, b as oracle.Array64, 1e-5),
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
    reference: ({ x, r, g }) =>
      oracle.gatedResidual(x as oracle.Array64, r as oracle.Array64, g as oracle.Array64),
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
  global_average_pool: {
    terms: 15,
    inputs: { x: features([3, 5, 3, 6]) },
    differentiable: ['x'],
    record: (tape, { x }) => globalAveragePool(tape, x as Tensor),
    reference: ({ x }) => oracle.globalAveragePool(x as oracle.Array64),
  },
  cross_entropy: {
    terms: 70,
    inputs: {
      logits: { shape: [3, 1, 1, 70], layout: 'channels', low: -20, high: 20 },
      labels: { shape: [3], layout: 'dense', values: Float32Array.of(0, 69, 33) },
    },
    differentiable: ['logits'],
    record: (tape, { logits, labels }) => crossEntropy(tape, logits as Tensor, labels as Tensor),
    reference: ({ logits, labels }) =>
      oracle.crossEntropy(logits as oracle.Array64, labels as oracle.Array64),
  },
  mean: {
    terms: 70,
    inputs: { x: map([70]) },
    differentiable: ['x'],
    record: (tape, { x }) => mean(tape, x as Tensor),
    reference: ({ x }) =>
      oracle.array([1], [(x as oracle.Array64).data.reduce((sum, value) => sum + value / 70, 0)]),
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
      for (const seed of [1, 2]) await check(engine, op, seed, op.terms, name);
    });
});

describe('the gate of rows that are not of unit length', () => {
  const force = { rewrites: { rowLengths: true } };

  /** A gate of `positions` rows with `channels` values and `items` keys, against float64. */
  async function checkGate(positions: number, channels: number, items: number, rowScale: number) {
    const random = new RandomStream('row lengths', positions, channels, items);
    const op: Operation = {
      inputs: {
        q: { ...features([1, positions, 1, channels]), low: -rowScale, high: rowScale },
        k: { shape: [1, 1, items, channels], layout: 'filter' },
      },
      differentiable: [],
      record: (tape, { q, k }) => matchingGate(tape, q as Tensor, k as Tensor, 0.2),
      reference: ({ q }) => q as oracle.Array64,
    };
    const values = Object.fromEntries(
      Object.entries(op.inputs).map(([name, input]) => [name, randomValues(input, random)]),
    );
    const { y } = await run(engine, op, values, undefined, { force });
    const query = oracle.l2Normalize(oracle.array([1, positions, 1, channels], values.q), 1e-12);
    const keys = oracle.l2Normalize(oracle.array([1, 1, items, channels], values.k), 1e-12);
    const cosines = oracle.array([1, positions, 1, items]);
    for (let p = 0; p < positions; p++)
      for (let j = 0; j < items; j++)
        for (let c = 0; c < channels; c++)
          cosines.data[p * items + j] =
            (cosines.data[p * items + j] as number) +
            (query.data[p * channels + c] as number) * (keys.data[j * channels + c] as number);
    expectClose(y as Float32Array, oracle.softmaxGate(cosines, 0.2).data, 60, `${positions}x${channels}`);
  }

  test('agrees with float64 at sizes that do and do not fill workgroups and quads', async () => {
    for (const [positions, channels, items] of [
      [6, 6, 10],
      [1, 3, 2],
      [21, 64, 100],
      [9, 272, 66],
      [8, 1024, 100],
    ] as const)
      await checkGate(positions, channels, items, 1);
  });

  test('rows of zeros, tiny and large ones give finite gates', async () => {
    for (const scale of [0, 1e-14, 1e4]) await checkGate(5, 20, 12, scale);
  });
});
