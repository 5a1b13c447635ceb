/** Emulated matrix units with 16-bit operands in larger shapes, for transposed products and split sums. */
import { afterAll, beforeAll, describe, test } from 'vitest';
import { Engine } from '../../src/engine/runtime/engine.ts';
import { convolutions } from '../support/convolutions.ts';
import {
  expectHalfConvolution,
  expectHalfStored,
  expectHalfTransposed,
  type HalfUnits,
} from '../support/half_units.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine?.close());

// Few units per subgroup: a processor's driver takes minutes to compile many.
const all: readonly (readonly [title: string, units: HalfUnits])[] = [
  ['32 x 64 outputs', { unit: [16, 16, 16], shape: { subgroups: [2, 2], rows: 16, columns: 32, depth: 16 } }],
  ['64 x 16 outputs', { unit: [16, 16, 8], shape: { subgroups: [2, 1], rows: 32, columns: 16, depth: 8 } }],
];

describe.each(all)('emulated units with 16-bit operands, %s', (_, units) => {
  test.for(['convolutions', 'transposed', 'split', 'stored'] as const)('%s', async (what, { skip }) => {
    if (!engine.device.features.has('shader-f16')) return skip('the adapter has no shader-f16');
    if (what === 'transposed') return expectHalfTransposed(engine, units);
    if (what === 'stored') return expectHalfStored(engine, units);
    const splits = what === 'split' ? 3 : 1;
    for (const name of Object.keys(convolutions))
      await expectHalfConvolution(engine, { ...units, splits }, name);
  });
});
