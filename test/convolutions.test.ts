/**
 * Convolutions: every candidate of the matrix kernels at awkward shapes, operands from textures, split
 * sums, repeatability.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { type ConvolutionShape, convolutionTile } from '../src/engine/device/convolution_tiles.ts';
import { describeKernel, type MatrixKernel } from '../src/engine/device/families.ts';
import type { Target } from '../src/engine/device/target.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { elements, type Tensor } from '../src/engine/graph/tensor.ts';
import { conv2d, convTranspose2d } from '../src/engine/ops/conv2d.ts';
import { add, relu } from '../src/engine/ops/elementwise.ts';
import { gatedResidual } from '../src/engine/ops/gate.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { retarget } from '../src/engine/runtime/retarget.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import {
  type ConvolutionCase,
  convolutionCandidates,
  convolutionOperation,
  convolutions,
  expectConvolution,
  reference,
  weightGradientCandidates,
} from './support/convolutions.ts';
import { check, expectClose, features, randomValues, run } from './support/operations.ts';
import * as oracle from './support/oracle.ts';

// Opened here, because the device says which configurations there are to try.
const engine = await Engine.open();
afterAll(() => engine.close());

const references = Object.fromEntries(
  Object.entries(convolutions).map(([name, c]) => [name, reference(name, c)]),
);
// GPUs read operands from buffers.
const readsTextures = ({ module }: MatrixKernel) => module !== 'conv2d_tile';
const named = (kernels: readonly MatrixKernel[]) =>
  kernels.map((kernel) => [describeKernel(kernel), kernel] as const);

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

  test('a transposed convolution is the adjoint of the convolution', async () => {
    const shape = { x: [2, 3, 4, 6], w: [2, 2, 5, 6] } as const;
    await check(
      engine,
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

// One workgroup suffices for these shapes on a real GPU: parallelism is raised so that the sums of weight
// gradients are split.
const base: Target = { ...engine.target, parallelism: 64 };
const forward = named(convolutionCandidates(base));
const weights = named(weightGradientCandidates(base));
const rounds = Array.from({ length: Math.max(forward.length, weights.length) }, (_, round) => {
  const [name, convolution] = forward[round % forward.length] as (typeof forward)[number];
  const [weightName, weight_gradient] = weights[round % weights.length] as (typeof weights)[number];
  return [`${name}, weight gradient ${weightName}`, { convolution, weight_gradient }] as const;
});

describe.each(rounds)('%s', (_, kernels) => {
  const rewrites = { ...(!readsTextures(kernels.convolution) && { textures: false }) };
  const choices = { target: base, force: { ...kernels, rewrites } };

  test.each(
    Object.entries(convolutions),
  )('%s: meets the reference, and repeats bit for bit', async (name, c) => {
    const expected = references[name] as ReturnType<typeof reference>;
    const first = await expectConvolution(engine, c, expected, choices);
    const again = await run(engine, convolutionOperation(c), expected.values, expected.g, choices);
    for (const [key, values] of Object.entries(first)) expect(again[key], key).toEqual(values);
  });
});

describe('weight gradients of more rows and columns than the largest tile', () => {
  const wide: ConvolutionCase = {
    x: [2, 9, 8, 36],
    w: [3, 3, 36, 132],
    geometry: { stride: 1, padding: 1, dilation: 1 },
  };
  const expected = reference('wide', wide);

  test.each(weights)('%s', async (_, weight_gradient) => {
    // In one range, then in several.
    for (const parallelism of [1, 512]) {
      const choices = { target: { ...base, parallelism }, force: { weight_gradient } };
      const first = await expectConvolution(engine, wide, expected, choices);
      const again = await run(engine, convolutionOperation(wide), expected.values, expected.g, choices);
      expect(again.d_w).toEqual(first.d_w);
    }
  });
});

test('slices, turns and interleaved ranges of as many parts give the same bits', async () => {
  const c: ConvolutionCase = {
    x: [2, 9, 8, 44],
    w: [3, 3, 44, 36],
    geometry: { stride: 1, padding: 1, dilation: 1 },
  };
  const { values, g, y, dx } = reference('parts of a sum', c);
  const operation = { ...convolutionOperation(c), differentiable: ['x'] };
  const bits = async (shape: ConvolutionShape) => {
    const force = { convolution: convolutionTile(shape), rewrites: { textures: false } };
    const result = await run(engine, operation, values, g, { force });
    expectClose(result.y as Float32Array, y.data, 9 * 44, 'y');
    expectClose(result.d_x as Float32Array, dx.data, 9 * 36, 'd_x');
    return Buffer.concat([result.y, result.d_x].map((each) => Buffer.from((each as Float32Array).buffer)));
  };
  const slices = await bits({ threads: [8, 4], outputs: [8, 2], depth: 8, slices: 8 });
  const four = { outputs: [8, 2], depth: 4, slices: 4 } as const;
  expect((await bits({ ...four, turns: 2 })).equals(slices)).toBe(true);
  expect((await bits({ ...four, ranges: 2 })).equals(slices)).toBe(true);
  expect((await bits(four)).equals(slices)).toBe(false);
});

describe('operands read from textures give the bits of those from memory', () => {
  const cases: ConvolutionCase[] = [
    { x: [2, 6, 8, 8], w: [3, 3, 8, 44], geometry: { stride: 1, padding: 1, dilation: 1 } },
    { x: [3, 10, 16, 7], w: [5, 5, 7, 36], geometry: { stride: 2, padding: 2, dilation: 1 } },
    { x: [2, 9, 16, 4], w: [3, 3, 4, 64], geometry: { stride: 1, padding: 2, dilation: 2 } },
  ];
  const [weight_gradient] = weightGradientCandidates(engine.target) as [MatrixKernel];

  test.each(
    named(convolutionCandidates(engine.target).filter(readsTextures)),
  )('%s', async (_, convolution) => {
    const force = { convolution, weight_gradient };
    for (const c of cases) {
      const op = convolutionOperation(c);
      const { values, g } = reference('images', c);
      const memory = await run(engine, op, values, g, { force: { ...force, rewrites: { textures: false } } });
      const textures = await run(engine, op, values, g, {
        force: { ...force, rewrites: { textures: true } },
      });
      for (const [key, expected] of Object.entries(memory))
        expect(textures[key], `${c.x} ${key}`).toEqual(expected);
    }
  });
});

describe('split sums', () => {
  test.each(
    named(convolutionCandidates(engine.target)),
  )('%s: every shape meets the reference', async (_, convolution) => {
    const force = { convolution, splits: 3, rewrites: { textures: false } };
    for (const [name, c] of Object.entries(convolutions))
      await expectConvolution(engine, c, references[name] as ReturnType<typeof reference>, { force });
  });

  test.each([
    ['an addend and a rectifier', false],
    ['a gate', true],
  ])('the kernel that adds them up applies %s', async (_, gated) => {
    const shape = { x: [2, 5, 6, 40], w: [3, 3, 40, 12], b: [12], y: [2, 5, 6, 12] } as const;
    const random = new RandomStream('split epilogue');
    const draw = (s: readonly number[]) => randomValues({ shape: s, layout: 'dense' }, random);
    const values = {
      x: draw(shape.x),
      w: draw(shape.w),
      b: draw(shape.b),
      r: draw(shape.y),
      gate: draw([2, 5, 6]),
    };
    const geometry = { stride: 1, padding: 1, dilation: 1 };
    const linear = oracle
      .conv2d(oracle.array(shape.x, values.x), oracle.array(shape.w, values.w), geometry)
      .data.map((value, i) => value + (values.b[i % 12] as number));
    const at = (list: Float32Array, i: number) => list[i] as number;
    const tape = new Tape(new ParameterSet());
    const x = tape.input('x', shape.x, 'channels');
    const r = tape.input('r', shape.y, 'channels');
    const w = tape.constant('w', shape.w, 'filter', values.w);
    const convolved = conv2d(tape, x, w, tape.constant('b', shape.b, 'channels', values.b), geometry);
    const y = gated
      ? gatedResidual(tape, r, convolved, tape.input('gate', [2, 5, 6], 'dense'))
      : relu(tape, add(tape, convolved, r));
    const expected = linear.map((value, i) =>
      gated
        ? at(values.r, i) * (1 + at(values.gate, Math.floor(i / 12)) * Math.tanh(value))
        : Math.max(0, value + at(values.r, i)),
    );
    const force = { splits: 4, rewrites: { textures: false } };
    const store = new ParameterStore(engine, tape.parameters);
    const program = await Program.compile(retarget(engine, { force }), tape, { outputs: { y }, store });
    // The sum's kernel has the whole epilogue; nothing follows it.
    expect(program.plan).toMatch(/conv2d_\S+split\S*.*\n.*convolution_sum\.main,\S+ <\d+,1,1>$/);
    expectClose((await program.run(values)).y as Float32Array, expected, 360, 'y');
    program.destroy();
  });
});
