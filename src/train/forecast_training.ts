/** Memory and time of a whole training, before it begins. */

import { Tape } from '../engine/graph/tape.ts';
import type { Peaks } from '../engine/plan/forecast.ts';
import { type Forecast, forecast } from '../engine/plan/forecast.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import type { Stage } from '../model/method.ts';
import { detectorParameters, methodNamed, type StudentMode } from '../model/methods.ts';
import type { Teacher } from '../model/teacher.ts';
import { stageShape } from './stage_images.ts';
import { recordStep } from './step_programs.ts';

export interface TrainingShape {
  readonly mode: StudentMode;
  readonly imageSize: number;
  readonly batch: number;
}

/** One step of a stage: bytes with weights and optimiser, milliseconds, dispatches. */
export function forecastStep(
  engine: Engine,
  peaks: Peaks,
  teacher: Teacher,
  { mode, imageSize, batch }: TrainingShape,
  stage: Stage,
): Forecast {
  const set = detectorParameters(teacher, mode);
  const size = (group: string) => set.pageSizes(group).reduce((sum, bytes) => sum + bytes, 0);
  const weights = set.groups.reduce((sum, group) => sum + size(group), 0);
  // Beside the weights that it trains, a stage keeps gradients and Adam's two moments.
  const optimiser = 3 * size(stage.group);
  const tape = new Tape(set);
  const cached = stage.samples === 'good images';
  const { loss } = stage.record(tape, stageShape({ backbone: teacher, imageSize }, stage, batch, cached));
  recordStep(tape, loss, stage.group);
  const result = forecast(tape, [loss], engine.lowering, engine.device.limits, peaks);
  return { ...result, bytes: result.bytes + weights + optimiser };
}

/** @throws Error naming the tensor, where one is larger than the device binds */
export function forecastTraining(
  engine: Engine,
  peaks: Peaks,
  teacher: Teacher,
  o: TrainingShape & { readonly epochs: readonly [number, number] },
  images: number,
): { bytes: number; seconds: number } {
  const steps = Math.ceil(images / o.batch);
  // A step has no more images than there are.
  const shape = { ...o, batch: Math.min(o.batch, images) };
  let [bytes, seconds] = [0, 0];
  for (const stage of methodNamed(o.mode).stages) {
    const step = forecastStep(engine, peaks, teacher, shape, stage);
    bytes = Math.max(bytes, step.bytes);
    seconds += (steps * (o.epochs[stage.number - 1] as number) * step.milliseconds) / 1000;
  }
  return { bytes, seconds };
}
