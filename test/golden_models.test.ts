import { afterAll, beforeAll, expect, test } from 'vitest';
import { Engine } from '../src/engine/runtime/engine.ts';
import {
  compareGoldenModels,
  goldenSizes,
  runGoldenModel,
  runGoldenTraining,
} from './support/golden_models.ts';
import { goldenSet } from './support/shared.ts';

const golden = goldenSet('models');
let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

test.skipIf(!golden)(
  'every golden model, training step and gradient norm is met',
  { timeout: 600_000 },
  async () => {
    if (!golden) return;
    const results: Record<string, Float32Array> = {};
    for (const name of Object.keys(goldenSizes(golden))) {
      Object.assign(results, await runGoldenModel(engine, golden, name));
      if (golden.has(`${name}/stage1/losses`))
        Object.assign(results, await runGoldenTraining(engine, golden, name));
    }
    const comparisons = compareGoldenModels(golden, results);
    const failed = comparisons.filter(({ maxError, allowed }) => !(maxError <= allowed));
    const tensors = new Set(comparisons.map(({ name }) => name.replace(/\[\d+\]$/, ''))).size;
    const bad = new Set(failed.map(({ name }) => name.replace(/\[\d+\]$/, ''))).size;
    console.log(`golden models: ${tensors - bad} of ${tensors} tensors within tolerance`);
    expect(failed).toEqual([]);
  },
);
