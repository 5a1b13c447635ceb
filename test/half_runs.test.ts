/**
 * Products that are summed up in 16 bits over short runs: near to float64 within the bound of their
 * roundings, never beyond the range of 16 bits, and nowhere but where a profile wants them.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { amd } from '../src/engine/device/amd.ts';
import { apple } from '../src/engine/device/apple.ts';
import { arm } from '../src/engine/device/arm.ts';
import { chooseMatrixKernel } from '../src/engine/device/choose.ts';
import { convolutionTile } from '../src/engine/device/convolution_tiles.ts';
import { type MatrixKernel, sumsHalfRuns } from '../src/engine/device/families.ts';
import { gpu } from '../src/engine/device/gpu.ts';
import { intel } from '../src/engine/device/intel.ts';
import { nvidia } from '../src/engine/device/nvidia.ts';
import type { DeviceProfile } from '../src/engine/device/profile.ts';
import { qualcomm } from '../src/engine/device/qualcomm.ts';
import { tuningKey } from '../src/engine/device/tuning.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import {
  expectRuns,
  expectWithinBound,
  onDevice,
  one,
  operands,
  type RunsCase,
  reference,
  runsCases,
  runsKernels,
  smallRuns,
} from './support/half_runs.ts';
import { planning } from './support/targets.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine?.close());

// Small ones, for this driver takes long to compile 16-bit arithmetic. test/full/convolutions.test.ts has
// those that profiles choose.
const tile = convolutionTile(smallRuns);
const sliced = runsKernels.at(-1) as MatrixKernel;

describe('every value is within the bound of its roundings', () => {
  test.each(Object.entries(runsCases))('%s', (_name, c) => expectRuns(engine, c, tile));

  test('in slices of a workgroup', () => expectRuns(engine, runsCases['3x3'] as RunsCase, sliced));
});

describe('no run leaves the range of 16 bits', () => {
  const geometry = { stride: 1, padding: 1, dilation: 1 };
  const large: RunsCase = {
    x: [1, 5, 6, 32],
    w: [3, 3, 32, 20],
    geometry,
    largest: [65504, 60000],
    positive: true,
  };

  test('with the largest activations and weights, of one sign', async () => {
    expect(await expectWithinBound(engine, large, tile)).toBeLessThan(2 ** -9);
  });

  test('nor with those of a transposed convolution', async () => {
    const transposed = { ...large, x: [1, 5, 6, 20] as const, geometry: one, transposed: true };
    expect(await expectWithinBound(engine, transposed, tile)).toBeLessThan(2 ** -9);
  });

  test('small weights keep their accuracy, and channels without weights give zero', async () => {
    const c: RunsCase = { ...large, largest: [100, 2 ** -12], positive: false };
    const values = operands(c);
    values.w.forEach((_, i) => {
      if (i % 20 === 3) values.w[i] = 0;
    });
    const expected = reference(c, values, (a) => a);
    const { y } = await onDevice(engine, c, values, tile);
    const whole = await onDevice(engine, c, values);
    expect(whole.plan).not.toContain('half_runs');
    const off = (result: Float32Array) =>
      Math.sqrt(expected.reduce((sum, value, i) => sum + (value - (result[i] as number)) ** 2, 0)) /
      Math.sqrt(expected.reduce((sum, value) => sum + value ** 2, 0));
    expect(off(y)).toBeLessThan(2 ** -10);
    expect(off(y)).toBeGreaterThan(4 * off(whole.y));
    expect(y.filter((value, i) => i % 20 === 3 && value !== 0)).toHaveLength(0);
  });
});

describe('who chooses it', () => {
  const chosen = (profile: DeviceProfile, architecture: string, problem = {}) =>
    chooseMatrixKernel(
      {
        family: 'convolution',
        rows: 4096,
        imageRows: 4096,
        columnQuads: 16,
        depth: 144,
        half: true,
        halfRuns: true,
        ...problem,
      },
      planning({ profile, target: { architecture } }),
    );

  test.each([
    [amd, 'gcn-5', true],
    [amd, 'rdna-2', true],
    [amd, 'rdna-3', false],
    [amd, 'rdna-4', false],
    [qualcomm, 'adreno-6xx', true],
    [qualcomm, 'adreno-7xx', true],
    [arm, 'valhall', false],
    [apple, 'metal-3', false],
    [nvidia, 'ampere', false],
    [intel, 'gen-12lp', false],
    [gpu, '', false],
  ] as const)('$0.name, $1: $2', (profile, architecture, expected) => {
    expect(sumsHalfRuns(chosen(profile, architecture))).toBe(expected);
    // Where an operand has 32 bits or weights change, the sum has 32 as well.
    expect(sumsHalfRuns(chosen(profile, architecture, { halfRuns: false }))).toBe(false);
  });

  test('matrix units are preferred, and what is tuned for 32 bits is not taken', () => {
    const unit = { component: 'f16', rows: 16, columns: 16, depth: 16 } as const;
    const problem = {
      family: 'convolution',
      rows: 4096,
      columnQuads: 16,
      depth: 144,
      half: true,
      halfRuns: true,
    } as const;
    const context = (target = {}) =>
      planning({ profile: amd, target: { architecture: 'rdna-2', ...target } });
    const units = chooseMatrixKernel(problem, context({ subgroupSize: 32, matrixUnits: [unit] }));
    expect(units.module).toBe('conv2d_matrix');
    const tuned = { [tuningKey(problem)]: convolutionTile({ outputs: [8, 2], depth: 4 }) };
    expect(sumsHalfRuns(chooseMatrixKernel(problem, { ...context(), tuned }))).toBe(true);
  });

  test('longer runs than weights are scaled for are refused', () => {
    expect(() => convolutionTile({ outputs: [4, 1], depth: 8, halfRuns: true })).toThrow(
      'a run of 32 terms is too long for 16 bits',
    );
  });
});
