/** The golden operations, on this machine's adapter and as on adapters that it does not have. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { beyondTolerance } from '../bench/support/golden.ts';
import { compareGoldenModels, runGoldenModel } from '../bench/support/golden_models.ts';
import { compareGoldenOps, goldenOpCases, runGoldenOps } from '../bench/support/golden_ops.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { retarget } from '../src/engine/runtime/retarget.ts';
import { goldenSet } from './support/shared.ts';
import { otherTargets } from './support/targets.ts';

const golden = goldenSet('ops');
const models = goldenSet('models');
let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

describe('golden operations', () => {
  let results: Record<string, Float32Array>;
  beforeAll(async () => {
    results = await runGoldenOps(engine, golden);
  });

  test.each(goldenOpCases(golden))('%s: the result and its gradients', (name) => {
    expect(beyondTolerance(compareGoldenOps(golden, results, name))).toEqual([]);
  });
});

describe.each(Object.entries(otherTargets))('as on %s', (_, choices) => {
  let other: Engine;
  beforeAll(() => {
    other = retarget(engine, choices);
  });

  test('every golden operation is met', async () => {
    expect(beyondTolerance(compareGoldenOps(golden, await runGoldenOps(other, golden)))).toEqual([]);
  });

  test('the golden detector is met', async () => {
    const compared = compareGoldenModels(models, await runGoldenModel(other, models, 'resnet18'));
    const detector = compared.filter(({ name }) => /^resnet18\/[^/]*$/.test(name));
    expect(detector.length).toBeGreaterThan(10);
    expect(beyondTolerance(detector)).toEqual([]);
  });
});
