import { afterAll, beforeAll, expect, test } from 'vitest';
import { Engine } from '../src/engine/device.ts';
import { compareGoldenOps, runGoldenOps } from './support/golden_ops.ts';
import { goldenSet } from './support/shared.ts';

const golden = goldenSet('ops');
let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

test.skipIf(!golden)('every golden operation is met', async () => {
  if (!golden) return;
  const results = compareGoldenOps(golden, await runGoldenOps(engine, golden));
  const failed = results.filter(({ maxError, allowed }) => !(maxError <= allowed));
  console.log(`golden operations: ${results.length - failed.length} of ${results.length} tensors within tolerance`);
  expect(failed).toEqual([]);
});
