/** How many dispatches a detector has on each kind of GPU, from its plan: no device is needed. */
import { describe, expect, test } from 'vitest';
import { imageInput } from '../src/data/image_input.ts';
import { amd } from '../src/engine/device/amd.ts';
import { profiles } from '../src/engine/device/profiles.ts';
import type { OfferedTarget } from '../src/engine/device/target.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { fuse } from '../src/engine/passes/index.ts';
import { selectProgram } from '../src/engine/plan/lower.ts';
import { backbones } from '../src/model/backbones.ts';
import { detect, detectorParameters } from '../src/model/methods.ts';
import { offered, planning } from './support/targets.ts';

// Of products whose tiles leave a GPU idle, on some large ones: those of fewer than 96 units.
const mostSums = 20;
const manyUnits = 96;

const gpus = profiles.filter(({ processor }) => processor === 'gpu');

/** Dispatches of a run by operation; those of split sums, which are added up, apart. */
function dispatchesOn(
  profile: (typeof gpus)[number],
  half: boolean,
  named: Partial<OfferedTarget>,
): Record<string, number> {
  const tape = new Tape(detectorParameters(backbones.resnet18, 'aand', { half }));
  const { map, score } = detect(tape, imageInput(tape, 1, 256), backbones.resnet18, 'aand');
  const context = planning({ profile, target: profile.target({ ...offered, ...named }) });
  const counts: Record<string, number> = {};
  for (const { node, dispatches } of selectProgram(fuse(tape, [map, score], context), context).main)
    for (const { kernel } of dispatches) {
      const isSum = kernel !== 'copy' && kernel.module === 'convolution_sum';
      const name = isSum ? 'sums' : node.definition.name;
      counts[name] = (counts[name] ?? 0) + 1;
    }
  return counts;
}

describe.each([
  ['32', false],
  ['16', true],
] as const)('a detector of a resnet18 in %s bits', (_, half) => {
  const card = { architecture: 'rdna-3', device: 'amd-radeon-rx-7900-xtx-radv-navi31-' };
  const devices = [
    ...gpus.map((profile) => [profile.name, profile, {}, mostSums] as const),
    [`a card of ${manyUnits} units`, amd, card, 0] as const,
  ];

  test.each(devices)('on %s', (_name, profile, named, most) => {
    const { sums = 0, ...counts } = dispatchesOn(profile, half, named);
    expect(counts).toEqual({
      normalize_pixels: 1,
      conv2d: 50,
      conv_transpose2d: 6 + 3,
      max_pool2d: 1,
      softmax_gate: 3,
      concat: 1,
      score_map: 3,
    });
    expect(Object.values(counts).reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(70);
    expect(sums).toBeLessThanOrEqual(most);
  });
});
