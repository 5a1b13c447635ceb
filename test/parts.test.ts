/** Tensors larger than a binding: operations run in parts, over ranges of images. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { boundBytes } from '../src/engine/dispatch.ts';
import { gradients } from '../src/engine/gradients.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import type { Tensor } from '../src/engine/graph/tensor.ts';
import { batchNorm } from '../src/engine/ops/batch_norm.ts';
import { concat } from '../src/engine/ops/concat.ts';
import { conv2d, convTranspose2d } from '../src/engine/ops/conv2d.ts';
import { cosineDistance } from '../src/engine/ops/cosine_distance.ts';
import { add, relu } from '../src/engine/ops/elementwise.ts';
import { maxPool2d } from '../src/engine/ops/max_pool2d.ts';
import { l2Normalize } from '../src/engine/ops/normalize.ts';
import { gatherRows } from '../src/engine/ops/rows.ts';
import { fuse } from '../src/engine/passes/index.ts';
import { select } from '../src/engine/plan/lower.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { type Retargeting, retarget } from '../src/engine/runtime/retarget.ts';
import { features, type Operation, randomValues, run } from './support/operations.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

const batch = 5;
// Two images of 16x16x16 floats, or the weights and a few sums of their size.
const limit = 40_000;

/** Every operation that runs in parts; an operand of one image beside those of five. */
const network: Operation = {
  inputs: {
    x: features([batch, 16, 16, 16]),
    w: { shape: [3, 3, 16, 16], layout: 'filter' },
    b: features([16]),
    one: features([1, 16, 16, 16]),
    up: { shape: [2, 2, 16, 16], layout: 'filter' },
  },
  differentiable: ['x', 'w', 'b', 'up'],
  record: (tape, { x, w, b, one, up }) => {
    const hidden = relu(tape, conv2d(tape, x as Tensor, w as Tensor, b as Tensor, { padding: 1 }));
    const sum = add(tape, add(tape, hidden, one as Tensor), x as Tensor);
    const pooled = maxPool2d(tape, sum, { kernel: 2, stride: 2, padding: 0 });
    return convTranspose2d(tape, pooled, up as Tensor, { stride: 2 });
  },
  reference: () => {
    throw new Error('compared with the whole tensors instead');
  },
};

const values = (operation = network) => {
  const random = new RandomStream('parts');
  return Object.fromEntries(
    Object.entries(operation.inputs).map(([name, input]) => [name, randomValues(input, random)]),
  );
};

const map = [batch, 16, 16, 16];
// Of the first, the second, a last and no position, in no order.
const rows = [1279, 0, 0xffffffff, 700, 256, 511, 512, 3];

/** Operations with phases: what they sum over the batch, and what they do to a range of it. */
const phases: Record<string, Omit<Operation, 'reference'>> = {
  'batch norm, unit rows, concatenation': {
    inputs: { x: features(map, -1, 3), w: features([16], 0.5, 1.5), b: features([16]), r: features(map) },
    differentiable: ['x', 'w', 'b', 'r'],
    record: (tape, { x, w, b, r }) => {
      const state = (name: string) => tape.parameter(name, [16], 'channels', 'state');
      const normal = batchNorm(
        tape,
        x as Tensor,
        { weight: w as Tensor, bias: b as Tensor, running_mean: state('mean'), running_var: state('var') },
        { training: true, relu: true, residual: r as Tensor },
      );
      return concat(tape, [l2Normalize(tape, normal), normal]);
    },
  },
  'cosine distance by position': {
    inputs: { a: features(map), b: features(map) },
    differentiable: ['a', 'b'],
    record: (tape, { a, b }) => cosineDistance(tape, a as Tensor, b as Tensor).map,
  },
  'cosine distance by image': {
    inputs: { a: features(map), b: features(map) },
    differentiable: ['a', 'b'],
    record: (tape, { a, b }) => cosineDistance(tape, a as Tensor, b as Tensor).flat,
  },
  'rows of positions': {
    inputs: {
      x: features(map),
      indices: {
        shape: [rows.length],
        layout: 'dense',
        values: new Float32Array(Uint32Array.from(rows).buffer),
        words: true,
      },
    },
    differentiable: ['x'],
    record: (tape, { x, indices }) => gatherRows(tape, x as Tensor, indices as Tensor),
  },
};

const targets = (): [whole: Retargeting, parts: Retargeting] => {
  const whole = { force: { rewrites: { textures: false } }, target: { parallelism: 1 } };
  return [whole, { ...whole, target: { ...whole.target, maxStorageBufferBindingSize: limit } }];
};

describe('operations in parts', () => {
  test('give the bits of whole ones; sums over images differ by rounding alone', async () => {
    const g = randomValues(features([batch, 16, 16, 16]), new RandomStream('seed'));
    const [whole, parts] = targets();
    const expected = await run(engine, network, values(), g, whole);
    const result = await run(engine, network, values(), g, parts);
    expect(new Set(expected.d_x).size).toBeGreaterThan(1000);
    for (const name of ['y', 'd_x']) expect(result[name], name).toEqual(expected[name]);
    for (const name of ['d_w', 'd_b', 'd_up']) {
      const [a, b] = [result[name] as Float32Array, expected[name] as Float32Array];
      const scale = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(
        a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0),
      ).toBeLessThan(1e-5 * scale);
    }
  });

  test.each(Object.keys(phases))('%s: phases over ranges give what the whole gives', async (name) => {
    const operation = { ...(phases[name] as Operation), reference: network.reference };
    const tape = new Tape(new ParameterSet());
    const y = operation.record(
      tape,
      Object.fromEntries(
        Object.entries(operation.inputs).map(([key, { shape, layout }]) => [
          key,
          tape.input(key, shape, layout),
        ]),
      ),
    );
    const g = randomValues({ shape: y.shape, layout: y.layout }, new RandomStream('seed'));
    const [whole, parts] = targets();
    const lowered = (choices: Retargeting) => {
      const { lowering } = retarget(engine, choices);
      return select(fuse(tape, [y], lowering).nodes, lowering).flatMap((n) => n.dispatches);
    };
    expect(lowered(parts).length).toBeGreaterThan(lowered(whole).length);
    const expected = await run(engine, operation, values(operation), g, whole);
    const result = await run(engine, operation, values(operation), g, parts);
    for (const key of ['y', ...operation.differentiable.map((input) => `d_${input}`)]) {
      const [a, b] = [result[key] as Float32Array, expected[key] as Float32Array];
      const scale = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(scale, key).toBeGreaterThan(1e-4);
      expect(a.length).toBe(b.length);
      const worst = a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0);
      expect(worst, key).toBeLessThan(1e-5 * scale);
    }
  });

  test('with images of other operands give the same values', async () => {
    const [whole] = targets();
    const expected = await run(engine, network, values(), undefined, whole);
    const result = await run(engine, network, values(), undefined, {
      target: { maxStorageBufferBindingSize: limit },
    });
    const [a, b] = [result.y as Float32Array, expected.y as Float32Array];
    a.forEach((value, i) => {
      expect(value).toBeCloseTo(b[i] as number, 4);
    });
  });

  test('bind no more than the limit', () => {
    const [whole, parts] = targets();
    const tape = new Tape(new ParameterSet());
    const inputs = Object.fromEntries(
      Object.entries(network.inputs).map(([name, { shape, layout }]) => [
        name,
        tape.input(name, shape, layout),
      ]),
    );
    const y = network.record(tape, inputs);
    const wanted = network.differentiable.map((name) => inputs[name] as Tensor);
    const found = gradients(tape, new Map([[y, tape.input('seed', y.shape, y.layout)]]), wanted);
    const outputs = [y, ...found.values()];
    const bound = (choices: Retargeting) => {
      const { lowering } = retarget(engine, choices);
      return select(fuse(tape, outputs, lowering).nodes, lowering)
        .flatMap(({ dispatches }) => dispatches)
        .flatMap(({ bindings }) => Object.values(bindings).map(boundBytes));
    };
    expect(Math.max(...bound(whole))).toBeGreaterThan(limit);
    expect(Math.max(...bound(parts))).toBeLessThanOrEqual(limit);
  });

  test('an image that is larger than a binding is refused with its tensor', () => {
    const tape = new Tape(new ParameterSet());
    const y = relu(tape, tape.input('x', [2, 8, 8, 16], 'channels'));
    const { lowering } = retarget(engine, { target: { maxStorageBufferBindingSize: 4000 } });
    expect(() => select(fuse(tape, [y], lowering).nodes, lowering)).toThrow(
      /relu: one image of tensor x \[2,8,8,16\] needs 4096 bytes, and this device binds 4000 at once/,
    );
  });

  test('more tensors than a concatenation takes ranges of are refused', () => {
    const tape = new Tape(new ParameterSet());
    const five = Array.from({ length: 5 }, (_, i) => tape.input(`x${i}`, [1, 2, 2, 4], 'channels'));
    expect(concat(tape, five.slice(1)).shape).toEqual([1, 2, 2, 16]);
    expect(() => concat(tape, five)).toThrow(/at most 4 tensors can be joined, not 5/);
  });
});
