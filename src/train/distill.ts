/** Stage II (method, 3.12): bottleneck and student learn to rebuild the amplified features of good images. */

import type { Tape } from '../engine/graph/tape.ts';
import { adamStep } from '../engine/ops/adam.ts';
import type { RunInputs } from '../engine/runtime/program.ts';
import type { Backbone } from '../model/backbone.ts';
import { distillsHard, type Mode, reconstruct, targets } from '../model/detector.ts';
import { gridSide } from './amplify.ts';
import { hardDistillationLoss } from './losses.ts';
import { adamDefaults } from './schedule.ts';
import type { RecordedLoss } from './step_programs.ts';

/** Shapes of the targets of one image, finest first. */
export function targetShapes(backbone: Backbone, size: number): [number, number, number][] {
  return [0, 1, 2].map((level) => {
    const side = gridSide(size, level);
    return [side, side, (64 << level) * backbone.expansion];
  });
}

/**
 * Forward pass and loss of stage II. The targets come as inputs `target0..2` where they are cached, else from
 * `images` through the frozen teacher.
 */
export function recordDistillation(
  tape: Tape,
  o: { backbone: Backbone; mode: Mode; size: number; batch: number; cached: boolean },
): RecordedLoss {
  const features = o.cached
    ? targetShapes(o.backbone, o.size).map((shape, level) =>
        tape.input(`target${level}`, [o.batch, ...shape], 'channels'),
      )
    : targets(tape, tape.input('images', [o.batch, o.size, o.size, 3], 'channels'), o.backbone, o.mode)
        .amplified;
  const { students } = reconstruct(tape, features, o.backbone, true);
  const loss = hardDistillationLoss(tape, features, students, { hard: distillsHard(o.mode) });
  return { loss, outputs: { loss } };
}

/** The optimiser's input of a step. */
export function stepInput(step: number, learningRate: number): RunInputs {
  return { step: adamStep(step, { ...adamDefaults, learningRate }) };
}
