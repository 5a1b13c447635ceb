/** 16-bit floats as on adapters that this machine does not have. */
import { afterAll, beforeAll, test } from 'vitest';
import { Engine } from '../../src/engine/runtime/engine.ts';
import { expectHalf, gpuTargets } from '../support/half.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine?.close());

test.for(Object.entries(gpuTargets))('%s: the map is close to that of 32 bits, the memory half', async ([
  ,
  target,
], { skip }) => {
  if (!engine.device.features.has('shader-f16')) return skip('the adapter has no shader-f16');
  await expectHalf(engine, target);
});
