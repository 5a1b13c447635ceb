/**
 * Convolutions: every configuration of the matrix kernels at awkward shapes, operands from textures,
 * Winograd, repeatability.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { cpu } from '../src/engine/device/cpu.ts';
import { describeKernel, type MatrixKernel } from '../src/engine/device/families.ts';
import { gpu } from '../src/engine/device/gpu.ts';
import { matrix, matrixCandidates } from '../src/engine/device/matrix_products.ts';
import type { MatrixUnit, Target } from '../src/engine/device/target.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { elements, type Tensor } from '../src/engine/graph/tensor.ts';
import { batchNorm } from '../src/engine/ops/batch_norm.ts';
import { conv2d, convTranspose2d } from '../src/engine/ops/conv2d.ts';
import { add, relu } from '../src/engine/ops/elementwise.ts';
import { gatedResidual } from '../src/engine/ops/gate.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { retarget } from '../src/engine/runtime/retarget.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { backbones } from '../src/model/backbones.ts';
import { initialize } from '../src/model/initialize.ts';
import { detect, detectorParameters } from '../src/model/methods.ts';
import { check, expectClose, features, type Operation, randomValues, run } from './support/operations.ts';
import * as oracle from './support/oracle.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

interface ConvolutionCase {
  readonly x: readonly [number, number, number, number];
  readonly w: readonly [number, number, number, number];
  readonly geometry: oracle.Geometry;
}

/**
 * Shapes with K % 4 != 0, fewer rows than a tile, 1x1 images, odd sizes at stride 2, dilation, large kernels.
 */
const convolutions: Record<string, ConvolutionCase> = {
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
};

function convolutionOperation({ x, w, geometry }: ConvolutionCase): Operation {
  return {
    inputs: { x: features(x), w: { shape: w, layout: 'filter' } },
    differentiable: ['x', 'w'],
    record: (tape, inputs) => conv2d(tape, inputs.x as Tensor, inputs.w as Tensor, undefined, geometry),
    reference: (inputs) => oracle.conv2d(inputs.x as oracle.Array64, inputs.w as oracle.Array64, geometry),
  };
}

/**
 * Matrix units, which no processor's driver has: their kernel with arithmetic in the units' place. Larger
 * than real ones, for a driver of a processor takes minutes to compile many small ones.
 */
const emulatedUnits: MatrixUnit[] = [
  { component: 'f32', rows: 16, columns: 32, depth: 8, emulated: true },
  { component: 'f32', rows: 32, columns: 16, depth: 16, emulated: true },
];

/** Every candidate for this target, those for matrix units among them. */
function convolutionCandidates(target: Target): MatrixKernel[] {
  const subgroupSize = target.subgroupSize > 1 ? target.subgroupSize : 8;
  const emulated = emulatedUnits.map((unit) => matrix(subgroupSize, unit));
  return [...matrixCandidates('convolution', target), ...emulated];
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
    // One workgroup suffices for these shapes on a real GPU: parallelism is raised so that weight gradients
    // are split.
    const base: Target = { ...engine.target, parallelism: 64 };
    const forward = convolutionCandidates(base);
    const weight = matrixCandidates('weight_gradient', base);
    const rounds = Math.max(forward.length, weight.length);
    const covered = new Set<string>();
    for (let round = 0; round < rounds; round++) {
      const convolution = forward[round % forward.length] as MatrixKernel;
      const weight_gradient = weight[round % weight.length] as MatrixKernel;
      covered.add(describeKernel(convolution)).add(`weight gradient ${describeKernel(weight_gradient)}`);
      const choices = { target: base, force: { convolution, weight_gradient } };
      for (const [name, c] of Object.entries(convolutions)) {
        const random = new RandomStream(name);
        const op = convolutionOperation(c);
        const values = { x: randomValues(features(c.x), random), w: randomValues(features(c.w), random) };
        const [x, w] = [oracle.array(c.x, values.x), oracle.array(c.w, values.w)];
        const y = oracle.conv2d(x, w, c.geometry);
        const g = Float32Array.from({ length: y.data.length }, () => random.uniform(-1, 1));
        const { dx, dw } = oracle.conv2dGradients(x, w, oracle.array(y.shape, g), c.geometry);
        const result = await run(engine, op, values, g, choices);
        const what = `${name}, ${describeKernel(convolution)}`;
        const [kh, kw, ci, co] = c.w;
        expectClose(result.y as Float32Array, y.data, kh * kw * ci, `${what} y`);
        expectClose(result.d_x as Float32Array, dx.data, kh * kw * co, `${what} d_x`);
        expectClose(
          result.d_w as Float32Array,
          dw.data,
          y.data.length / co,
          `${name}, ${describeKernel(weight_gradient)} d_w`,
        );
        const again = await run(engine, op, values, g, choices);
        for (const [key, first] of Object.entries(result))
          expect(again[key], `${what} ${key} repeats`).toEqual(first);
      }
    }
    console.log(`configurations: ${[...covered].join('; ')}`);
  });

  test('operands read from textures give the same as from memory', { timeout: 300_000 }, async () => {
    const cases: ConvolutionCase[] = [
      { x: [2, 6, 8, 8], w: [3, 3, 8, 44], geometry: { stride: 1, padding: 1, dilation: 1 } },
      { x: [3, 10, 16, 7], w: [5, 5, 7, 36], geometry: { stride: 2, padding: 2, dilation: 1 } },
      { x: [2, 9, 16, 4], w: [3, 3, 4, 64], geometry: { stride: 1, padding: 2, dilation: 2 } },
    ];
    for (const convolution of convolutionCandidates(engine.target))
      for (const weight_gradient of matrixCandidates('weight_gradient', engine.target).slice(0, 1))
        for (const c of cases) {
          const op = convolutionOperation(c);
          const random = new RandomStream('images');
          const values = { x: randomValues(features(c.x), random), w: randomValues(features(c.w), random) };
          const force = { convolution, weight_gradient };
          const size = op.reference({ x: oracle.array(c.x), w: oracle.array(c.w) }).data.length;
          const g = Float32Array.from({ length: size }, () => random.uniform(-1, 1));
          const memory = await run(engine, op, values, g, {
            force: { ...force, rewrites: { textures: false } },
          });
          const inTextures = await run(engine, op, values, g, {
            force: { ...force, rewrites: { textures: true } },
          });
          for (const [key, expected] of Object.entries(memory))
            expect(inTextures[key], `${c.x} ${key} ${describeKernel(convolution)}`).toEqual(expected);
        }
  });

  test('split sums meet the reference in every configuration, with every epilogue', {
    timeout: 300_000,
  }, async () => {
    for (const convolution of convolutionCandidates(engine.target))
      for (const [name, c] of Object.entries(convolutions)) {
        const random = new RandomStream(`split ${name}`);
        const op = convolutionOperation(c);
        const values = { x: randomValues(features(c.x), random), w: randomValues(features(c.w), random) };
        const [x, w] = [oracle.array(c.x, values.x), oracle.array(c.w, values.w)];
        const y = oracle.conv2d(x, w, c.geometry);
        const g = Float32Array.from({ length: y.data.length }, () => random.uniform(-1, 1));
        const { dx } = oracle.conv2dGradients(x, w, oracle.array(y.shape, g), c.geometry);
        const force = { convolution, splits: 3, rewrites: { textures: false } };
        const result = await run(engine, op, values, g, { force });
        const what = `${name}, ${describeKernel(convolution)}`;
        const [kh, kw, ci, co] = c.w;
        expectClose(result.y as Float32Array, y.data, kh * kw * ci, `${what} y`);
        expectClose(result.d_x as Float32Array, dx.data, kh * kw * co, `${what} d_x`);
      }
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
    for (const gated of [false, true]) {
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
      expectClose((await program.run(values)).y as Float32Array, expected, 360, `gated ${gated}`);
      program.destroy();
    }
  });

  test('statistics of a batch norm summed up in the epilogue meet the reference in every configuration', {
    timeout: 300_000,
  }, async () => {
    const shapes = [
      { x: [5, 17, 15, 5], w: [3, 3, 5, 23], stride: 1 },
      { x: [1, 5, 3, 4], w: [3, 3, 4, 6], stride: 2 },
    ] as const;
    const covered = new Set<string>();
    for (const convolution of convolutionCandidates(engine.target))
      for (const shape of shapes)
        for (const profile of [cpu, gpu]) {
          const random = new RandomStream(`statistics ${shape.x}`);
          // Far from zero, where squares without a pivot would lose their digits.
          const values = {
            x: randomValues(features(shape.x, 9, 10), random),
            w: randomValues(features(shape.w, 0, 1), random),
          };
          const channels = shape.w[3];
          const tape = new Tape(new ParameterSet());
          const state = (name: string, value: number) =>
            tape.parameter(name, [channels], 'channels', 'state', { kind: 'constant', value });
          const names = ['weight', 'bias', 'running_mean', 'running_var'] as const;
          const [weight, bias, running_mean, running_var] = names.map((name) =>
            state(name, name === 'weight' || name === 'running_var' ? 1 : 0),
          ) as [Tensor, Tensor, Tensor, Tensor];
          const inputs = (['x', 'w'] as const).map((name) =>
            tape.input(name, shape[name], name === 'w' ? 'filter' : 'channels'),
          ) as [Tensor, Tensor];
          const y = batchNorm(
            tape,
            conv2d(tape, inputs[0], inputs[1], undefined, { stride: shape.stride, padding: 1 }),
            { weight, bias, running_mean, running_var },
            { training: true },
          );
          const store = new ParameterStore(engine, tape.parameters);
          initialize(store, ['state'], 0);
          const force = { convolution, rewrites: { textures: false, statistics: true } };
          const program = await Program.compile(retarget(engine, { profile, force }), tape, {
            outputs: { y },
            store,
          });
          const what = `${describeKernel(convolution)}, ${shape.x}, profile ${profile.name}`;
          const apart = convolution.tile.rows < 16 || convolution.module === 'conv2d_matrix';
          expect(program.plan.includes('batch_norm.statistics'), `${what}: a pass of its own`).toBe(apart);
          for (const [, merge] of program.plan.matchAll(/batch_norm\.(merge\S*)/g))
            covered.add(merge as string);
          const linear = oracle.conv2d(oracle.array(shape.x, values.x), oracle.array(shape.w, values.w), {
            stride: shape.stride,
            padding: 1,
            dilation: 1,
          });
          const column = (c: number) => linear.data.filter((_, i) => i % channels === c);
          const count = linear.data.length / channels;
          const means = Float64Array.from(
            { length: channels },
            (_, c) => column(c).reduce((a, b) => a + b, 0) / count,
          );
          const variances = means.map(
            (mean, c) => column(c).reduce((sum, v) => sum + (v - mean) ** 2, 0) / count,
          );
          const expected = linear.data.map((v, i) => {
            const [mean, variance] = [means[i % channels] as number, variances[i % channels] as number];
            return (v - mean) / Math.sqrt(variance + 1e-5);
          });
          // The terms of the convolution, at the size of its sums and not of what is left of them.
          const digits = 9 * shape.x[3] * (Math.max(...means) / Math.sqrt(Math.min(...variances))) ** 2;
          expectClose((await program.run(values)).y as Float32Array, expected, digits, what);
          const running = await store.read(['running_mean', 'running_var']);
          const updated = (list: Float64Array, start: number) =>
            list.map((value) => 0.9 * start + 0.1 * value);
          expectClose(running.get('running_mean') as Float32Array, updated(means, 0), 45, `${what} mean`);
          const unbiased = variances.map((value) => (value * count) / (count - 1));
          expectClose(
            running.get('running_var') as Float32Array,
            updated(unbiased, 1),
            digits,
            `${what} variance`,
          );
          program.destroy();
          store.destroy();
        }
    expect([...covered].sort()).toEqual(['merge', 'merge,by_workgroup']);
  });

  test("Winograd's form meets the reference, with every epilogue", { timeout: 300_000 }, async () => {
    // Weights go straight into a texture whose lines they fill (256 channels), else through a buffer (260).
    for (const [height, width, channels, kernel] of [
      [13, 14, 260, 'winograd_f4'],
      [7, 8, 260, 'winograd_f2'],
      [13, 14, 256, 'winograd_f4'],
      [7, 8, 256, 'winograd_f2'],
    ] as const) {
      const random = new RandomStream(`winograd ${height}`);
      const shape = { x: [1, height, width, 256], w: [3, 3, 256, channels], b: [channels] } as const;
      const yShape = [1, height, width, channels] as const;
      const draw = (s: readonly number[]) => randomValues({ shape: s, layout: 'dense' }, random);
      const values = { x: draw(shape.x), w: draw(shape.w), b: draw(shape.b), r: draw(yShape) };
      const geometry = { stride: 1, padding: 1, dilation: 1 };
      const linear = oracle.conv2d(
        oracle.array(shape.x, values.x),
        oracle.array(shape.w, values.w),
        geometry,
      ).data;
      const rectified = linear.map((value, i) =>
        Math.max(0, value + (values.b[i % channels] as number) + (values.r[i] as number)),
      );
      for (const plain of [true, false])
        for (const textures of [false, true]) {
          const tape = new Tape(new ParameterSet());
          const x = tape.input('x', shape.x, 'channels');
          const w = tape.constant('w', shape.w, 'filter', values.w);
          const b = tape.constant('b', shape.b, 'channels', values.b);
          const r = tape.input('r', yShape, 'channels');
          const convolved = conv2d(tape, x, w, plain ? undefined : b, { padding: 1 });
          const y = plain ? convolved : relu(tape, add(tape, convolved, r));
          const { rewrites } = engine.profile;
          const own = { winograd: true, textures: textures && rewrites(engine.target).textures };
          const store = new ParameterStore(engine, tape.parameters);
          const program = await Program.compile(retarget(engine, { force: { rewrites: own } }), tape, {
            outputs: { y },
            store,
          });
          expect(program.plan).toContain(kernel);
          const result = (await program.run({ x: values.x, ...(!plain && { r: values.r }) }))
            .y as Float32Array;
          expectClose(
            result,
            plain ? linear : rectified,
            9 * 256,
            `${kernel}, epilogue ${!plain}, textures ${textures}`,
          );
          program.destroy();
        }
    }
  });

  test("a detector's maps do not depend on the batch that an image is in", { timeout: 120_000 }, async () => {
    const backbone = backbones.resnet18;
    const set = detectorParameters(backbone, 'aand');
    const store = new ParameterStore(engine, set);
    initialize(store, set.groups, 0);
    const { winograd } = engine.profile.rewrites(engine.target);
    for (const [choices, form, size, compact] of [
      [{}, winograd ? 'winograd' : '', 256, false],
      [{}, '', 256, true],
      // With few tiles, products of a real GPU's target are split.
      [{ profile: gpu, target: { parallelism: 512 } }, 'convolution_sum', 128, true],
    ] as const) {
      const images = randomValues({ shape: [3, size, size, 3], layout: 'dense' }, new RandomStream('batch'));
      const maps: Float32Array[] = [];
      for (const batch of [1, 3]) {
        const tape = new Tape(set);
        const { map } = detect(
          tape,
          tape.input('images', [batch, size, size, 3], 'channels'),
          backbone,
          'aand',
        );
        tape.compact = compact;
        const program = await Program.compile(retarget(engine, choices), tape, { outputs: { map }, store });
        expect(program.plan).toContain(form);
        const first = images.subarray(0, batch * size * size * 3);
        maps.push(((await program.run({ images: first })).map as Float32Array).slice(0, size * size));
        program.destroy();
      }
      const [alone, among] = maps as [Float32Array, Float32Array];
      expect(Buffer.compare(new Uint8Array(alone.buffer), new Uint8Array(among.buffer)), form).toBe(0);
    }
    store.destroy();
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
