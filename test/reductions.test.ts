/**
 * Sums, pools and searches as the profiles of GPUs choose them, on the driver of this machine: against
 * float64 or against the kernels of other devices, and the same bits again.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { gpu } from '../src/engine/device/gpu.ts';
import { intel } from '../src/engine/device/intel.ts';
import { gradients } from '../src/engine/gradients.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import type { Tensor } from '../src/engine/graph/tensor.ts';
import { globalAveragePool } from '../src/engine/ops/average_pool.ts';
import { batchNorm } from '../src/engine/ops/batch_norm.ts';
import { focalLoss } from '../src/engine/ops/focal_loss.ts';
import { gatedResidual } from '../src/engine/ops/gate.ts';
import { maxPool2d } from '../src/engine/ops/max_pool2d.ts';
import { mean, meanSquareError, one } from '../src/engine/ops/reduce.ts';
import { topkMean } from '../src/engine/ops/topk_mean.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { Program, type RunInputs } from '../src/engine/runtime/program.ts';
import { type Retargeting, retarget } from '../src/engine/runtime/retarget.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { hardDistillationLoss } from '../src/model/losses.ts';
import { check, expectClose, features, map, randomValues } from './support/operations.ts';
import * as oracle from './support/oracle.ts';

const asGpu: Retargeting = { profile: gpu };

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

interface Ran {
  readonly results: Readonly<Record<string, Float32Array>>;
  readonly plan: string;
}

/** Runs what is recorded twice, whose bits must be the same. */
async function run(
  record: (tape: Tape) => Record<string, Tensor>,
  inputs: RunInputs,
  choices: Retargeting,
): Promise<Ran> {
  const tape = new Tape(new ParameterSet());
  const outputs = record(tape);
  const store = new ParameterStore(engine, tape.parameters);
  const program = await Program.compile(retarget(engine, choices), tape, { outputs, store });
  try {
    const results = await program.run(inputs);
    expect(await program.run(inputs)).toEqual(results);
    return { results, plan: program.plan };
  } finally {
    program.destroy();
  }
}

const random = (shape: readonly number[], low = -1, high = 1) =>
  randomValues(map(shape, low, high), new RandomStream('reductions', ...shape));

/** Kernels of a plan that bear a name. */
const times = (plan: string, name: string) => plan.split(name).length - 1;

describe('sums of whole tensors', () => {
  // One workgroup takes 1024 values at once; 256 take 262,144.
  test.each([
    [1, 1],
    [70, 1],
    [1024, 1],
    [1025, 2],
    [5001, 2],
    [262_145, 2],
    [600_000, 2],
  ])('mean of %i values in %i dispatches', async (count, dispatches) => {
    const x = random([count]);
    const { results, plan } = await run(
      (tape) => ({ y: mean(tape, tape.input('x', [count], 'dense')) }),
      { x },
      asGpu,
    );
    expect(times(plan, 'reduce_groups.mean')).toBe(dispatches);
    const expected = x.reduce((sum, value) => sum + value, 0) / count;
    expect(Math.abs((results.y?.[0] as number) - expected)).toBeLessThan(1e-7);
  });

  test.each([
    [[1, 3, 5, 6], 1],
    [[2, 16, 16, 4], 1],
    [[2, 16, 17, 4], 2],
    [[2, 65, 64, 68], 2],
  ] as const)('mean square error of %o in %i dispatches', async (shape, dispatches) => {
    const [a, b] = [random(shape), random([...shape, 1]).map((value) => value / 2)];
    const { results, plan } = await run(
      (tape) => ({
        y: meanSquareError(tape, tape.input('a', shape, 'channels'), tape.input('b', shape, 'channels')),
      }),
      { a, b },
      asGpu,
    );
    expect(times(plan, 'reduce_groups.')).toBe(dispatches);
    const expected = a.reduce((sum, value, i) => sum + (value - (b[i] as number)) ** 2, 0) / a.length;
    expect(Math.abs((results.y?.[0] as number) / expected - 1)).toBeLessThan(1e-6);
  });
});

describe('the k largest values', () => {
  /** Values on few levels, so that many are equal. */
  const levels = (shape: readonly number[], count: number) =>
    random(shape).map((value) => Math.round(value * count) / count);

  test.each([
    [[2, 9, 10], 10, 1],
    [[3, 16, 16], 1, 1],
    [[2, 257], 257, 1],
    [[16, 64, 64], 10, 1],
    // More than a workgroup holds.
    [[2, 4097], 10, 2],
    [[3, 101, 127], 10, 2],
    // As many candidates as one workgroup cannot hold either.
    [[1, 70, 70], 2500, 1],
  ] as const)('%o, k = %i: the same values in the same order as elsewhere', async (shape, k, dispatches) => {
    for (const x of [random(shape), levels(shape, 3), new Float32Array(random(shape).length)]) {
      const record = (tape: Tape) => {
        const input = tape.input('x', shape, 'dense');
        const y = topkMean(tape, input, k);
        const seed = tape.input('seed', y.shape, 'dense');
        return { y, dx: gradients(tape, new Map([[y, seed]]), [input]).get(input) as Tensor };
      };
      const inputs = { x, seed: random([shape[0]], 1, 2) };
      const elsewhere = await run(record, inputs, {});
      const here = await run(record, inputs, asGpu);
      expect(here.results).toEqual(elsewhere.results);
      expect(times(here.plan, 'topk_mean_rounds.') + times(here.plan, 'topk_mean.forward')).toBe(dispatches);
      expect(elsewhere.plan).toContain('topk_mean.forward');
    }
  });
});

describe('focal loss', () => {
  test.each([
    [30, 1],
    [1024, 1],
    [1025, 2],
    [5000, 2],
    [200_000, 2],
  ])('%i positions in %i dispatches', async (count, dispatches) => {
    const gate = random([count], 0.02, 0.98);
    const mask = random([count, 1]).map((value) => (value > 0.7 ? 1 : 0));
    const { results, plan } = await run(
      (tape) => ({
        ...focalLoss(tape, tape.input('gate', [count], 'dense'), tape.input('mask', [count], 'dense')),
      }),
      { gate, mask },
      asGpu,
    );
    expect(times(plan, 'focal_loss_groups.')).toBe(dispatches);
    const expected = oracle.focalLoss(oracle.array([count], gate), oracle.array([count], mask), 0.8);
    expect(Math.abs((results.loss?.[0] as number) / (expected.data[0] as number) - 1)).toBeLessThan(1e-6);
    const tally = (holds: (i: number) => boolean) => gate.reduce((sum, _, i) => sum + (holds(i) ? 1 : 0), 0);
    const found = (i: number) => (gate[i] as number) > 0.5;
    expect([...(results.counts as Float32Array)]).toEqual([
      tally((i) => found(i) && mask[i] === 1),
      tally(found),
      tally((i) => mask[i] === 1),
      count,
    ]);
  });
});

describe('pools', () => {
  test.each([
    [3, 2, 1],
    [3, 1, 1],
    [2, 2, 0],
    [2, 1, 1],
    [1, 1, 0],
    [3, 3, 0],
    [5, 2, 2],
  ])('max pool of %ix pixels, stride %i, padding %i: as elsewhere', async (kernel, stride, padding) => {
    const shape = [2, 7, 6, 5];
    const values = random(shape);
    // Of equal values the first one counts.
    for (const x of [values, values.map(Math.round)]) {
      const record = (tape: Tape) => {
        const input = tape.input('x', shape, 'channels');
        const y = maxPool2d(tape, input, { kernel, stride, padding });
        const seed = tape.input('seed', y.shape, 'channels');
        return { y, dx: gradients(tape, new Map([[y, seed]]), [input]).get(input) as Tensor };
      };
      const side = (extent: number) => Math.floor((extent + 2 * padding - kernel) / stride) + 1;
      // Whole numbers, whose sums do not depend on the order.
      const seed = random([2, side(7), side(6), 5], -9, 9).map(Math.round);
      const here = await run(record, { x, seed }, asGpu);
      const elsewhere = await run(record, { x, seed }, {});
      // Zeros may differ in their sign.
      const unsigned = ({ results }: Ran) =>
        Object.entries(results).map(([name, values]) => [name, values.map((value) => value + 0)]);
      expect(unsigned(here)).toEqual(unsigned(elsewhere));
      expect(times(here.plan, 'max_pool2d_ahead.')).toBe(kernel > 3 ? 0 : 2);
      expect(elsewhere.plan).toContain('max_pool2d.forward');
    }
  });

  test.each([
    [3, 5, 3, 6],
    [2, 1, 1, 4],
    [1, 16, 16, 64],
    [2, 9, 15, 132],
    [3, 8, 8, 1024],
  ])('average pool of [%i, %i, %i, %i]', async (...shape) => {
    const x = features(shape);
    const { results, plan } = await run(
      (tape) => ({ y: globalAveragePool(tape, tape.input('x', shape, 'channels')) }),
      { x: randomValues(x, new RandomStream('pool')) },
      asGpu,
    );
    expect(plan).toContain('average_pool_columns.forward');
    const expected = oracle.globalAveragePool(oracle.array(shape, randomValues(x, new RandomStream('pool'))));
    results.y?.forEach((value, i) => {
      expect(Math.abs(value - (expected.data[i] as number))).toBeLessThan(1e-6);
    });
  });
});

describe('batch norm', () => {
  // Chunks of several pixels each, few and many of them, and channels that fill workgroups or do not.
  test.each([
    [2, 3, 5, 6],
    [3, 24, 24, 12],
    [2, 32, 32, 64],
    [1, 4, 4, 260],
  ])('[%i, %i, %i, %i]', async (...shape) => {
    const channels = shape.at(-1) as number;
    const pixels = shape.slice(0, 3).reduce((product, size) => product * size, 1);
    const record = (tape: Tape) => {
      const input = (name: string) => tape.input(name, [channels], 'channels');
      const state = (name: string) => tape.parameter(name, [channels], 'channels', 'state');
      const [x, weight, bias] = [tape.input('x', shape, 'channels'), input('w'), input('b')];
      const running = { running_mean: state('mean'), running_var: state('var') };
      const y = batchNorm(tape, x, { weight, bias, ...running }, { training: true, relu: true });
      const found = gradients(tape, new Map([[y, tape.input('seed', shape, 'channels')]]), [x, weight, bias]);
      const of = (tensor: Tensor) => found.get(tensor) as Tensor;
      return { y, dx: of(x), dw: of(weight), db: of(bias) };
    };
    const inputs = {
      x: random(shape, -1, 3),
      w: random([channels], 0.5, 1.5),
      b: random([channels, 1]),
      seed: random([...shape, 1]),
    };
    const here = await run(record, inputs, asGpu);
    const elsewhere = await run(record, inputs, {});
    expect(here.plan).toContain('batch_norm_columns.merge_gradient');
    for (const [name, values] of Object.entries(here.results)) {
      const other = elsewhere.results[name] as Float32Array;
      const largest = other.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
      const worst = values.reduce((most, v, i) => Math.max(most, Math.abs(v - (other[i] as number))), 0);
      expect(worst / largest, name).toBeLessThan(4e-7 * Math.sqrt(pixels) + 2e-6);
    }
  });
});

describe('the gradient of the gated residual in turns', () => {
  // Quads that lanes hold at once or not, rows that fill workgroups or not.
  test.each([
    [3, 516],
    [2, 1024],
    [1001, 1100],
  ])('%i rows of %i channels: near to float64', async (rows, channels) => {
    const shape = [1, rows, 1, channels];
    const record = (tape: Tape) => {
      const [x, r] = [tape.input('x', shape, 'channels'), tape.input('r', shape, 'channels')];
      const gate = tape.input('g', [1, rows, 1], 'dense');
      const y = gatedResidual(tape, x, r, gate);
      const found = gradients(tape, new Map([[y, tape.input('seed', shape, 'channels')]]), [x, r, gate]);
      const of = (tensor: Tensor) => found.get(tensor) as Tensor;
      return { dx: of(x), dr: of(r), dg: of(gate) };
    };
    const inputs = {
      x: random(shape),
      r: random([...shape, 1], -2, 2),
      g: random([1, rows, 1], 0, 1),
      seed: random([...shape, 1, 1]),
    };
    const { results, plan } = await run(record, inputs, { profile: intel });
    expect(plan).toContain('gate_turns.residual_gradient');
    const [dx, dr, dg] = [
      new Float64Array(rows * channels),
      new Float64Array(rows * channels),
      new Float64Array(rows),
    ];
    inputs.seed.forEach((dy, i) => {
      const row = Math.floor(i / channels);
      const [x, g, t] = [inputs.x[i] as number, inputs.g[row] as number, Math.tanh(inputs.r[i] as number)];
      dx[i] = dy * (1 + g * t);
      dr[i] = dy * x * g * (1 - t * t);
      dg[row] = (dg[row] as number) + dy * x * t;
    });
    expectClose(results.dx as Float32Array, dx, 1, 'dx');
    expectClose(results.dr as Float32Array, dr, 1, 'dr');
    expectClose(results.dg as Float32Array, dg, channels, 'dg');
  });
});

describe('the loss of stage II', () => {
  const shapes = [
    [2, 8, 8, 12],
    [2, 4, 4, 24],
    [2, 4, 2, 36],
  ] as const;

  test('is one dispatch after the distances, and near to float64', async () => {
    const name = (kind: string, level: number) => `${kind}${level}`;
    const record = (tape: Tape) => {
      const level = (kind: string) => shapes.map((shape, i) => tape.input(name(kind, i), shape, 'channels'));
      const [teacher, student] = [level('t'), level('s')];
      const loss = hardDistillationLoss(tape, teacher, student, { hard: true });
      const found = gradients(tape, new Map([[loss, one(tape)]]), student);
      return {
        loss,
        ...Object.fromEntries(student.map((tensor, i) => [`d${i}`, found.get(tensor) as Tensor])),
      };
    };
    const inputs: Record<string, Float32Array> = {};
    let expected = 0;
    shapes.forEach((shape, i) => {
      const [t, s] = [random(shape), random([...shape, 1])];
      inputs[name('t', i)] = t;
      inputs[name('s', i)] = s;
      const { map: distances, flat } = oracle.cosineDistance(
        oracle.array(shape, t),
        oracle.array(shape, s),
        1e-8,
      );
      const images = [...flat.data, ...oracle.topkMean(distances, Math.min(10, shape[1] * shape[2])).data];
      expected += images.reduce((sum, value) => sum + value, 0) / shape[0];
    });
    const here = await run(record, inputs, asGpu);
    const elsewhere = await run(record, inputs, {});
    expect(Math.abs((here.results.loss?.[0] as number) - expected)).toBeLessThan(2e-6 * expected);
    expect(times(here.plan, 'weighted_totals.main')).toBe(1);
    expect(times(here.plan, 'reduce')).toBe(0);
    expect(times(elsewhere.plan, 'reduce.')).toBe(8);
    for (let i = 0; i < shapes.length; i++)
      here.results[`d${i}`]?.forEach((value, j) => {
        expect(Math.abs(value - (elsewhere.results[`d${i}`]?.[j] as number))).toBeLessThan(1e-6);
      });
  });
});

test('gradients of means and pools, against finite differences', async () => {
  await check(
    engine,
    {
      inputs: { x: map([70]) },
      differentiable: ['x'],
      record: (tape, { x }) => mean(tape, x as Tensor),
      reference: ({ x }) => {
        const { data } = x as oracle.Array64;
        return oracle.array([1], [data.reduce((sum, value) => sum + value / data.length, 0)]);
      },
    },
    1,
    70,
    'mean',
    asGpu,
  );
});
