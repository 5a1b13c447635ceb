/**
 * Dispatches with few workgroups in the programs of every GPU profile, from their plans: each has a reason
 * (bench/static/grids.ts), and a new one whose data would allow more workgroups is found.
 */
import { describe, expect, test } from 'vitest';
import { allowedGrids, type SmallGrid, smallGrids } from '../bench/static/grids.ts';
import { inference, trainingSteps } from '../bench/static/programs.ts';
import { commonKernels } from '../src/engine/device/common.ts';
import type { DeviceProfile } from '../src/engine/device/profile.ts';
import { profiles } from '../src/engine/device/profiles.ts';
import { fuse } from '../src/engine/passes/index.ts';
import { selectProgram } from '../src/engine/plan/lower.ts';
import { dispatchesOf } from '../src/engine/plan/plan.ts';
import { backbones } from '../src/model/backbones.ts';
import { planning } from './support/targets.ts';

const gpus = profiles.filter(({ processor }) => processor === 'gpu');
const { resnet18, wide_resnet50_2 } = backbones;
const programs = [
  inference(resnet18, 1, false),
  ...trainingSteps(resnet18, 128, 16),
  inference(wide_resnet50_2, 1, false),
  ...trainingSteps(wide_resnet50_2, 256, 16),
];

function gridsOn(profile: DeviceProfile): SmallGrid[] {
  const context = planning({ profile });
  return programs.flatMap(({ tape, outputs }) =>
    smallGrids(dispatchesOf(selectProgram(fuse(tape, outputs, context), context).main)),
  );
}

const without = (grids: readonly SmallGrid[]) => [
  ...new Set(grids.filter(({ reason }) => !reason).map(({ kernel }) => kernel)),
];

describe('every dispatch with few workgroups has a reason', () => {
  const found = new Set<string>();
  test.each(gpus.map((profile) => [profile.name, profile] as const))('on %s', (_, profile) => {
    const grids = gridsOn(profile);
    expect(without(grids)).toEqual([]);
    for (const { kernel, reason } of grids) if (reason === 'listed') found.add(kernel);
  });

  test('and the list has no kernel that needs none', () => {
    expect([...found].sort()).toEqual(allowedGrids.map(({ kernel }) => kernel).sort());
  });
});

test('a sum by one workgroup is found: the kernels of CPUs, and one that is not listed', () => {
  const [profile] = gpus as [DeviceProfile];
  const { focalLoss, averagePool } = commonKernels;
  const slow = { ...profile, kernels: { ...profile.kernels, focalLoss, averagePool } };
  expect(without(gridsOn(slow))).toEqual(['focal_loss.forward', 'average_pool.forward']);
});

test('a listed kernel is found where its threads have more to read than the list says', () => {
  const context = planning({ profile: gpus[0] as DeviceProfile });
  const [, , step] = programs;
  if (!step) throw new Error('no program');
  const dispatches = dispatchesOf(selectProgram(fuse(step.tape, step.outputs, context), context).main);
  const less = allowedGrids.map((each) => ({ ...each, most: 4 }));
  expect(without(smallGrids(dispatches, less))).toContain('batch_norm_columns.merge');
});
