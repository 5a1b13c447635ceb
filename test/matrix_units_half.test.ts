/** Emulated matrix units with 16-bit operands, in the shape that compiles fastest; full/ has the others. */
import { afterAll, beforeAll, describe, test } from 'vitest';
import { Engine } from '../src/engine/runtime/engine.ts';
import { convolutions } from './support/convolutions.ts';
import { expectHalfConvolution, expectHalfStored, type HalfUnits } from './support/half_units.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine?.close());

const units: HalfUnits = {
  unit: [8, 8, 8],
  shape: { subgroups: [2, 2], rows: 16, columns: 8, depth: 8 },
};

describe('emulated units with 16-bit operands', () => {
  test.for(
    Object.keys(convolutions),
  )('%s: within the bound of 32 bits of float64, and repeats bit for bit', async (name, { skip }) => {
    if (!engine.device.features.has('shader-f16')) return skip('the adapter has no shader-f16');
    await expectHalfConvolution(engine, units, name);
  });

  test('a result that stays in 16 bits is rounded once', async ({ skip }) => {
    if (!engine.device.features.has('shader-f16')) return skip('the adapter has no shader-f16');
    await expectHalfStored(engine, units);
  });
});
