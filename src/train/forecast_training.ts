/** Memory and time of a whole training, before it begins. */

import { Tape } from '../engine/graph/tape.ts';
import type { Peaks } from '../engine/plan/forecast.ts';
import { type Forecast, forecast } from '../engine/plan/forecast.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import type { Backbone } from '../model/backbone.ts';
import { amplifies, detectorParameters, groups, type Mode } from '../model/detector.ts';
import { recordAmplification } from './amplify.ts';
import { recordDistillation } from './distill.ts';
import { recordStep } from './step_programs.ts';

export interface TrainingShape {
  readonly mode: Mode;
  readonly imageSize: number;
  readonly batch: number;
}

/**
 * Bytes of weights, and of what a training keeps beside those that it trains: gradients and Adam's two
 * moments.
 */
function pages(backbone: Backbone, mode: Mode): { weights: number; stage1: number; stage2: number } {
  const set = detectorParameters(backbone, mode);
  const size = (group: string) => set.pageSizes(group).reduce((sum, bytes) => sum + bytes, 0);
  return {
    weights: Object.values(groups).reduce((sum, group) => sum + size(group), 0),
    stage1: 3 * size(groups.amplification),
    stage2: 3 * size(groups.student),
  };
}

/** One step of a stage: bytes with weights and optimiser, milliseconds, dispatches. */
export function forecastStep(
  engine: Engine,
  peaks: Peaks,
  backbone: Backbone,
  { mode, imageSize, batch }: TrainingShape,
  stage: 1 | 2,
): Forecast {
  const own = pages(backbone, mode);
  const tape = new Tape(detectorParameters(backbone, mode));
  const { loss } =
    stage === 1
      ? recordAmplification(tape, backbone, imageSize, batch)
      : recordDistillation(tape, { backbone, mode, size: imageSize, batch, cached: true });
  recordStep(tape, loss, stage === 1 ? groups.amplification : groups.student);
  const result = forecast(tape, [loss], engine.target, engine.device.limits, peaks);
  return { ...result, bytes: result.bytes + own.weights + (stage === 1 ? own.stage1 : own.stage2) };
}

/** @throws Error naming the tensor, where one is larger than the device binds */
export function forecastTraining(
  engine: Engine,
  peaks: Peaks,
  backbone: Backbone,
  o: TrainingShape & { readonly epochs: readonly [number, number] },
  images: number,
): { bytes: number; seconds: number } {
  const steps = Math.ceil(images / o.batch);
  const stages = amplifies(o.mode) ? ([1, 2] as const) : ([2] as const);
  let [bytes, seconds] = [0, 0];
  for (const stage of stages) {
    const step = forecastStep(engine, peaks, backbone, o, stage);
    bytes = Math.max(bytes, step.bytes);
    seconds += (steps * (o.epochs[stage - 1] as number) * step.milliseconds) / 1000;
  }
  return { bytes, seconds };
}
