/** Every backbone of the golden set: each feature, gate and map, and the first training steps. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { beyondTolerance } from '../bench/support/golden.ts';
import {
  compareGoldenModels,
  goldenSizes,
  runGoldenModel,
  runGoldenTraining,
} from '../bench/support/golden_models.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { goldenSet } from './support/shared.ts';

const golden = goldenSet('models');
const names = Object.keys(goldenSizes(golden));
let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

/** Comparisons of what the set holds below a name: `resnet18/stage1` or, without its stages, `resnet18`. */
function of(results: Record<string, Float32Array>, name: string) {
  const training = name.includes('/stage');
  const compared = compareGoldenModels(golden, results).filter(
    (comparison) => comparison.name.startsWith(`${name}/`) && comparison.name.includes('/stage') === training,
  );
  expect(compared.length).toBeGreaterThan(0);
  return compared;
}

describe('golden models', () => {
  test.each(names)('%s: features, gates, embedding, student and map', async (name) => {
    expect(beyondTolerance(of(await runGoldenModel(engine, golden, name), name))).toEqual([]);
  });
});

describe('golden training', () => {
  const trained = names.filter((name) => golden.has(`${name}/stage1/losses`));

  test.each(trained)('%s: losses of five steps and first gradient norms, in both stages', async (name) => {
    const results = await runGoldenTraining(engine, golden, name);
    expect(beyondTolerance(of(results, `${name}/stage1`))).toEqual([]);
    expect(beyondTolerance(of(results, `${name}/stage2`))).toEqual([]);
  });
});
