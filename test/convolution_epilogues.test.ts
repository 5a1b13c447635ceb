/** What convolutions do besides their sums: statistics of a batch norm, Winograd's form, batches. */
import { afterAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { cpu } from '../src/engine/device/cpu.ts';
import { describeKernel } from '../src/engine/device/families.ts';
import { gpu } from '../src/engine/device/gpu.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import type { Tensor } from '../src/engine/graph/tensor.ts';
import { batchNorm } from '../src/engine/ops/batch_norm.ts';
import { conv2d } from '../src/engine/ops/conv2d.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { initialize } from '../src/engine/runtime/initialize.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { retarget } from '../src/engine/runtime/retarget.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { expectSameMaps, expectWinograd, winogradCases } from './support/convolution_forms.ts';
import { convolutionCandidates } from './support/convolutions.ts';
import { expectClose, features, randomValues } from './support/operations.ts';
import * as oracle from './support/oracle.ts';

// Opened here, because the device says which configurations there are to try.
const engine = await Engine.open();
afterAll(() => engine.close());

describe('statistics of a batch norm in the epilogue of a convolution', () => {
  const shapes = [
    { x: [5, 17, 15, 5], w: [3, 3, 5, 23], stride: 1 },
    { x: [1, 5, 3, 4], w: [3, 3, 4, 6], stride: 2 },
  ] as const;
  const cases = convolutionCandidates(engine.target).flatMap((convolution) =>
    shapes.flatMap((shape) =>
      [cpu, gpu].map((profile) => {
        const title = `${describeKernel(convolution)}, ${shape.x}, as on ${profile.title}`;
        return [title, { convolution, shape, profile }] as const;
      }),
    ),
  );

  test.each(cases)('%s: meet the reference', async (_, { convolution, shape, profile }) => {
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
    const apart = convolution.tile.rows < 16 || !convolution.statistics;
    expect(/batch_norm\w*\.statistics/.test(program.plan), 'a pass of its own').toBe(apart);
    // A GPU merges the moments of many tiles by workgroups.
    const [merge] = /batch_norm\w*\.merge/.exec(program.plan) ?? [];
    expect(merge).toBe(profile === cpu ? 'batch_norm.merge' : 'batch_norm_columns.merge');
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
    const variances = means.map((mean, c) => column(c).reduce((sum, v) => sum + (v - mean) ** 2, 0) / count);
    const expected = linear.data.map((v, i) => {
      const [mean, variance] = [means[i % channels] as number, variances[i % channels] as number];
      return (v - mean) / Math.sqrt(variance + 1e-5);
    });
    // The terms of the convolution, at the size of its sums and not of what is left of them.
    const digits = 9 * shape.x[3] * (Math.max(...means) / Math.sqrt(Math.min(...variances))) ** 2;
    expectClose((await program.run(values)).y as Float32Array, expected, digits, 'y');
    const running = await store.read(['running_mean', 'running_var']);
    const updated = (list: Float64Array, start: number) => list.map((value) => 0.9 * start + 0.1 * value);
    expectClose(running.get('running_mean') as Float32Array, updated(means, 0), 45, 'running mean');
    const unbiased = variances.map((value) => (value * count) / (count - 1));
    expectClose(running.get('running_var') as Float32Array, updated(unbiased, 1), digits, 'running variance');
    program.destroy();
    store.destroy();
  });
});

describe("Winograd's form", () => {
  // Each kernel, way of the weights, epilogue and kind of operand once; full/convolutions.test.ts crosses
  // them.
  test.each(winogradCases.filter(([, { quick }]) => quick))('%s: meets the reference', (_, c) =>
    expectWinograd(engine, c));
});

test("a detector's map of an image has the same bits whatever its batch", () =>
  expectSameMaps(engine, {
    choices: {},
    form: engine.profile.rewrites(engine.target).winograd ? 'winograd' : '',
    size: 256,
    compact: false,
  }));
