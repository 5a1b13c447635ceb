/** A detector in 32 and in 16 bits, as on this and on other adapters. */
import { expect } from 'vitest';
import { halfTolerance, runDetector } from '../../bench/support/half.ts';
import { gpu } from '../../src/engine/device/gpu.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { type Retargeting, retarget } from '../../src/engine/runtime/retarget.ts';
import { runsProfile } from './half_runs.ts';

/** Devices for which a detector has other kernels than on this machine. */
export const gpuTargets: Record<string, Retargeting> = {
  'as a real GPU (workgroup tiles)': { profile: gpu, target: { subgroupSize: 0 } },
  'as a GPU that sums up short runs in 16 bits': {
    profile: runsProfile,
    target: { parallelism: 64, matrixUnits: [] },
  },
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
  const full = await runDetector(own, false);
  const half = await runDetector(own, true);
  const units = (choices.target?.matrixUnits?.length ?? 0) > 0;
  // So do sums of short runs.
  expect(half.plan.includes(',half_runs')).toBe(choices.profile === runsProfile);
  expect(full.plan).not.toContain('half_runs');
  // Only 16-bit operands go to units that multiply such.
  expect(/conv2d_matrix\.main\S*,matrix_half/.test(half.plan)).toBe(units);
  expect(full.plan).not.toContain('conv2d_matrix');
  const difference = Math.max(...full.map.map((value, i) => Math.abs(value - (half.map[i] as number))));
  const most = Math.max(...full.map);
  expect(difference).toBeGreaterThan(0);
  expect(difference).toBeLessThan(halfTolerance * most);
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
