/**
 * Images as the steps of a training take them: bytes, a quarter of the floats that they stand for, and of
 * synthetic anomalies the pixels that they change, as values that no byte stands for.
 */

import { imageInput } from '../data/image_input.ts';
import type { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { RunInputs } from '../engine/runtime/program.ts';
import type { Stage, StageShape } from '../model/method.ts';
import type { Teacher } from '../model/teacher.ts';
import type { DrawnAnomaly } from '../synthetic/anomaly.ts';

/** Records the images of a stage's steps: inputs `pixels`, and `changed` with `changed_counts`. */
export function imageRecorder(
  { samples }: Pick<Stage, 'samples'>,
  { batch, size }: { readonly batch: number; readonly size: number },
): (tape: Tape) => Tensor {
  return (tape) => {
    if (samples === 'good images') return imageInput(tape, batch, size);
    const values = tape.input('changed', [batch, size * size, 4], 'dense');
    return imageInput(tape, batch, size, { values, counts: tape.input('changed_counts', [batch], 'dense') });
  };
}

/** What a stage's step is recorded for in a training. */
export function stageShape(
  o: { readonly backbone: Teacher; readonly imageSize: number },
  stage: Stage,
  batch: number,
  cached: boolean,
): StageShape {
  const shape = { teacher: o.backbone, size: o.imageSize, batch };
  return { ...shape, cached, images: imageRecorder(stage, shape) };
}

/** The inputs `changed` and `changed_counts`: of each image only as much as its anomaly changes. */
export function changedPixels(anomalies: readonly Omit<DrawnAnomaly, 'mask'>[]): RunInputs {
  return {
    changed: anomalies.map(({ places, values }) => {
      const list = new Uint32Array(4 * places.length);
      const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
      places.forEach((place, i) => {
        list[4 * i] = place;
        for (let c = 0; c < 3; c++) list[4 * i + 1 + c] = bits[3 * i + c] as number;
      });
      return list;
    }),
    changed_counts: Uint32Array.from(anomalies, ({ places }) => places.length),
  };
}
