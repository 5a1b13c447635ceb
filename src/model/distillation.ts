/** Stage II (method, 3.12): bottleneck and decoder learn to rebuild the targets of good images. */

import { groups } from './groups.ts';
import { hardDistillationLoss } from './losses.ts';
import { type RecordTargets, type Stage, stageImages } from './method.ts';
import { reconstruct } from './student.ts';
import { featureShapes } from './teacher.ts';

/**
 * @param o targets: what the student rebuilds; hard: with the loss of the hardest positions
 * @returns the stage; with `cached` its step takes the targets as inputs `target0..2`, else it computes them
 *   from `images` through the frozen teacher
 */
export function distillation(o: {
  readonly targets: RecordTargets;
  readonly hard: boolean;
  readonly schedule: Stage['schedule'];
}) {
  return {
    number: 2,
    group: groups.student,
    samples: 'good images',
    schedule: o.schedule,
    record(tape, shape) {
      const { teacher, size, batch, cached = false } = shape;
      const targets = cached
        ? featureShapes(teacher, size).map((shape, level) =>
            tape.input(`target${level}`, [batch, ...shape], 'channels'),
          )
        : o.targets(tape, stageImages(tape, shape), teacher).amplified;
      const { students } = reconstruct(tape, targets, teacher, true);
      const loss = hardDistillationLoss(tape, targets, students, { hard: o.hard });
      return { loss, outputs: { loss } };
    },
    report: ({ loss }) => ({ loss: (loss as Float32Array)[0] as number }),
  } as const satisfies Stage;
}
