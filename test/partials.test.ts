/** Sums of partial results, by each kernel that adds them up: against float64, and the same bits again. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { type ItemKernel, itemPerThread } from '../src/engine/device/families.ts';
import { gpu } from '../src/engine/device/gpu.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { need, Tape } from '../src/engine/graph/tape.ts';
import type { Operation } from '../src/engine/ops/operation.ts';
import { sumPartials } from '../src/engine/ops/partials.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { retarget } from '../src/engine/runtime/retarget.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { randomValues } from './support/operations.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

const partials: Operation = {
  name: 'partials',
  infer: ({ parts }) => ({ sum: { shape: (parts?.shape ?? []).slice(1), layout: 'channels' } }),
  lower: ({ inputs, outputs }, context) => {
    const parts = need(inputs, 'parts');
    return [sumPartials(parts, need(outputs, 'sum'), parts.shape[0] as number, context)];
  },
};

/** Splits, and channels of the sum. */
const cases: readonly (readonly [splits: number, channels: number])[] = [
  [1, 4],
  [3, 260],
  [15, 64],
  [16, 4],
  [17, 100],
  [33, 36],
  [64, 1028],
  [255, 64],
];

const kernels: Record<string, ItemKernel> = {
  'sum_partials.main': itemPerThread('sum_partials', 'main'),
  'sum_partials.ahead': itemPerThread('sum_partials', 'ahead'),
  ...Object.fromEntries(
    [2, 8, 64].map((slices) => [
      `sum_partials_sliced.main,SLICES=${slices}`,
      {
        module: 'sum_partials_sliced',
        entry: 'main',
        constants: { SLICES: slices },
        itemsPerWorkgroup: 64 / slices,
      },
    ]),
  ),
};

describe.each(Object.keys(kernels))('%s', (name) => {
  test.each(cases)('%i parts of %i channels', async (splits, channels) => {
    const shape = [splits, 1, 1, channels];
    const parts = randomValues({ shape, layout: 'channels' }, new RandomStream('partials'));
    const sums = { ...gpu.kernels.sums, partials: () => kernels[name] as ItemKernel };
    const profile = { ...engine.profile, kernels: { ...engine.profile.kernels, sums } };
    const tape = new Tape(new ParameterSet());
    const { sum } = tape.record(partials, { parts: tape.input('parts', shape, 'channels') }, {});
    if (!sum) throw new Error('no sum');
    const store = new ParameterStore(engine, tape.parameters);
    const program = await Program.compile(retarget(engine, { profile }), tape, { outputs: { sum }, store });
    expect(program.plan).toContain(name);
    const first = (await program.run({ parts })).sum as Float32Array;
    const again = (await program.run({ parts })).sum as Float32Array;
    program.destroy();
    expect(again).toEqual(first);
    for (let channel = 0; channel < channels; channel++) {
      let expected = 0;
      for (let s = 0; s < splits; s++) expected += parts[s * channels + channel] as number;
      expect(Math.abs((first[channel] as number) - expected), `channel ${channel}`).toBeLessThan(
        2 ** -23 * splits,
      );
    }
  });
});

test('GPUs add few quads of many parts by several threads each, until workgroups are enough', () => {
  const slices = (splits: number, quads: number) =>
    gpu.kernels.sums.partials({ splits, quads }, engine.target).constants?.SLICES ?? 1;
  expect(
    [
      [1, 16],
      [15, 16],
      [16, 16],
      [252, 16],
      [64, 16384],
      [64, 16385],
      [8, 6400],
      [8, 16384],
    ].map(([splits = 0, quads = 0]) => slices(splits, quads)),
  ).toEqual([1, 4, 8, 64, 8, 1, 2, 1]);
});
