/** Sums of partial results, by each kernel that adds them up: against float64, and the same bits again. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
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

describe.each(['main', 'ahead', 'sliced'])('sum_partials.%s', (entry) => {
  test.each(cases)('%i parts of %i channels', async (splits, channels) => {
    const shape = [splits, 1, 1, channels];
    const parts = randomValues({ shape, layout: 'channels' }, new RandomStream('partials'));
    const items = entry === 'sliced' ? 8 : 64;
    const sums = {
      ...gpu.kernels.sums,
      partials: () => ({ module: 'sum_partials', entry, itemsPerWorkgroup: items }) as const,
    };
    const profile = { ...engine.profile, kernels: { ...engine.profile.kernels, sums } };
    const tape = new Tape(new ParameterSet());
    const { sum } = tape.record(partials, { parts: tape.input('parts', shape, 'channels') }, {});
    if (!sum) throw new Error('no sum');
    const store = new ParameterStore(engine, tape.parameters);
    const program = await Program.compile(retarget(engine, { profile }), tape, { outputs: { sum }, store });
    expect(program.plan).toContain(`sum_partials.${entry}`);
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

test('GPUs add few quads of many parts by several threads each', () => {
  const kernel = (splits: number, quads: number) =>
    gpu.kernels.sums.partials({ splits, quads }, engine.target).entry;
  expect([kernel(15, 16), kernel(16, 16), kernel(64, 16384), kernel(64, 16385)]).toEqual([
    'ahead',
    'sliced',
    'sliced',
    'ahead',
  ]);
});
