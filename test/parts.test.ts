/** Tensors larger than a binding: operations run in parts, over ranges of images. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Engine } from '../src/engine/device.ts';
import { fuse } from '../src/engine/fuse.ts';
import { gradients } from '../src/engine/gradients.ts';
import { conv2d, convTranspose2d } from '../src/engine/ops/conv2d.ts';
import { add, relu } from '../src/engine/ops/elementwise.ts';
import { maxPool2d } from '../src/engine/ops/max_pool2d.ts';
import { ParameterSet } from '../src/engine/parameters.ts';
import { select } from '../src/engine/plan.ts';
import { RandomStream } from '../src/engine/random.ts';
import { boundBytes, type Target } from '../src/engine/select.ts';
import { Tape } from '../src/engine/tape.ts';
import type { Tensor } from '../src/engine/tensor.ts';
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

const values = () => {
  const random = new RandomStream('parts');
  return Object.fromEntries(Object.entries(network.inputs).map(([name, input]) => [name, randomValues(input, random)]));
};

const targets = (): [whole: Target, parts: Target] => {
  const whole = { ...engine.target, images: false, parallelism: 1 };
  return [whole, { ...whole, maxStorageBufferBindingSize: limit }];
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
      expect(a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0)).toBeLessThan(
        1e-5 * scale,
      );
    }
  });

  test('with images of other operands give the same values', async () => {
    const [whole] = targets();
    const expected = await run(engine, network, values(), undefined, whole);
    const result = await run(engine, network, values(), undefined, {
      ...engine.target,
      maxStorageBufferBindingSize: limit,
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
      Object.entries(network.inputs).map(([name, { shape, layout }]) => [name, tape.input(name, shape, layout)]),
    );
    const y = network.record(tape, inputs);
    const wanted = network.differentiable.map((name) => inputs[name] as Tensor);
    const found = gradients(tape, new Map([[y, tape.input('seed', y.shape, y.layout)]]), wanted);
    const outputs = [y, ...found.values()];
    const bound = (target: Target) =>
      select(fuse(tape, outputs, target).nodes, target)
        .flatMap(({ dispatches }) => dispatches)
        .flatMap(({ bindings }) => Object.values(bindings).map(boundBytes));
    expect(Math.max(...bound(whole))).toBeGreaterThan(limit);
    expect(Math.max(...bound(parts))).toBeLessThanOrEqual(limit);
  });

  test('an image that is larger than a binding is refused with its tensor', () => {
    const tape = new Tape(new ParameterSet());
    const y = relu(tape, tape.input('x', [2, 8, 8, 16], 'channels'));
    const target = { ...engine.target, maxStorageBufferBindingSize: 4000 };
    expect(() => select(fuse(tape, [y], target).nodes, target)).toThrow(
      /relu: one image of tensor x \[2,8,8,16\] needs 4096 bytes, and this device binds 4000 at once/,
    );
  });
});
