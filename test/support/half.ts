/** A detector in 32 and in 16 bits, as on this and on other adapters. */
import { expect } from 'vitest';
import { RandomStream } from '../../src/base/random.ts';
import { gpu } from '../../src/engine/device/gpu.ts';
import { Tape } from '../../src/engine/graph/tape.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { initialize } from '../../src/engine/runtime/initialize.ts';
import { Program } from '../../src/engine/runtime/program.ts';
import { type Retargeting, retarget } from '../../src/engine/runtime/retarget.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import { backbones } from '../../src/model/backbones.ts';
import { detect, detectorParameters } from '../../src/model/methods.ts';

const size = 64;
const images = (() => {
  const random = new RandomStream('half');
  return Float32Array.from({ length: 2 * size * size * 3 }, () => random.uniform(-2, 2));
})();

async function run(engine: Engine, half: boolean) {
  const { resnet18 } = backbones;
  const set = detectorParameters(resnet18, 'aand', { half });
  const store = new ParameterStore(engine, set);
  initialize(store, set.groups, 0);
  const tape = new Tape(set);
  const { map, score } = detect(tape, tape.input('images', [2, size, size, 3], 'channels'), resnet18, 'aand');
  const program = await Program.compile(engine, tape, { outputs: { map, score }, store });
  const result = await program.run({ images });
  const kept = (await store.read(['student.layer1.0.conv2.weight'])).get('student.layer1.0.conv2.weight');
  const facts = {
    ...result,
    plan: program.plan,
    bytes: program.bytes,
    weights: store.bytes,
    arena: program.memory.lowerBound,
    kept,
  };
  program.destroy();
  store.destroy();
  return facts as typeof facts & { map: Float32Array; score: Float32Array; kept: Float32Array };
}

/** Devices for which a detector has other kernels than on this machine. */
export const gpuTargets: Record<string, Retargeting> = {
  'as a real GPU (workgroup tiles)': { profile: gpu, target: { subgroupSize: 0 } },
  'as a GPU with matrix units': {
    profile: gpu,
    target: {
      subgroupSize: 16,
      matrixUnits: [{ component: 'f16', rows: 32, columns: 16, depth: 16, emulated: true }],
    },
  },
};

/**
 * The map in 16 bits is close to that in 32, weights and values take half the memory, and matrix units get
 * 16-bit operands alone.
 */
export async function expectHalf(engine: Engine, choices: Retargeting): Promise<void> {
  const own = retarget(engine, choices);
  const full = await run(own, false);
  const half = await run(own, true);
  const units = choices.target?.matrixUnits !== undefined;
  // Only 16-bit operands go to units that multiply such.
  expect(/conv2d_matrix\.main\S*,matrix_half/.test(half.plan)).toBe(units);
  expect(full.plan).not.toContain('conv2d_matrix');
  const difference = Math.max(...full.map.map((value, i) => Math.abs(value - (half.map[i] as number))));
  const most = Math.max(...full.map);
  expect(difference).toBeGreaterThan(0);
  expect(difference).toBeLessThan(5e-3 * most);
  expect(half.weights).toBeLessThan(0.52 * full.weights);
  expect(half.arena).toBeLessThan(0.65 * full.arena);
  // What is read back from the device is what was written, rounded once (below 2^-14 by an absolute step).
  const rounding = full.kept.reduce(
    (worst, value, i) =>
      Math.max(worst, Math.abs(value - (half.kept[i] as number)) / Math.max(Math.abs(value), 2 ** -14)),
    0,
  );
  expect(rounding).toBeGreaterThan(0);
  expect(rounding).toBeLessThan(2 ** -11 + 1e-6);
}
