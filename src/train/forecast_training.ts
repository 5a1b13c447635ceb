/** Memory and time of a whole training, before it begins. */

import { imageInput } from '../data/image_input.ts';
import { ParameterSet } from '../engine/graph/parameter_set.ts';
import { Tape } from '../engine/graph/tape.ts';
import { type Forecast, forecast, type Peaks } from '../engine/plan/forecast.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import type { MemoryMethod, Stage } from '../model/method.ts';
import { detectorParameters, type Mode, methodNamed } from '../model/methods.ts';
import type { Teacher } from '../model/teacher.ts';
import { imagesPerRun, projectedChannels } from './feature_reader.ts';
import { coresetSize } from './memory_bank.ts';
import { stageShape } from './stage_images.ts';
import { recordStep } from './step_programs.ts';

export interface TrainingShape {
  readonly mode: Mode;
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

/** Of a whole training. */
export interface TrainingNeed {
  readonly bytes: number;
  readonly seconds: number;
}

/** Looks at all images, chooses among their patches, looks at the images of the chosen ones again. */
function forecastBank(
  engine: Engine,
  peaks: Peaks,
  teacher: Teacher,
  method: MemoryMethod,
  { imageSize, coreset }: TrainingShape & { readonly coreset?: number | undefined },
  images: number,
): TrainingNeed {
  const tape = new Tape(new ParameterSet());
  const batch = Math.min(imagesPerRun, images);
  const features = method.features(tape, imageInput(tape, batch, imageSize), teacher);
  const [, height, width, channels] = features.shape as [number, number, number, number];
  const run = forecast(tape, [features], engine.lowering, engine.device.limits, peaks);
  const { parameters } = tape;
  const weights = parameters.groups
    .flatMap((group) => parameters.pageSizes(group))
    .reduce((sum, bytes) => sum + bytes, 0);
  const patches = height * width * images;
  const kept = coresetSize(patches, coreset);
  const projected = Math.min(channels, projectedChannels);
  const choosing = (3 * kept * patches * projected) / (peaks.gflops * 1e9);
  return {
    bytes: weights + run.bytes + 4 * (patches * (projected + 1) + kept * channels),
    seconds: (2 * images * run.milliseconds) / (1000 * batch) + choosing,
  };
}

/** @throws Error naming the tensor, where one is larger than the device binds */
export function forecastTraining(
  engine: Engine,
  peaks: Peaks,
  teacher: Teacher,
  o: TrainingShape & {
    readonly epochs: readonly [number, number];
    readonly coreset?: number | undefined;
  },
  images: number,
): TrainingNeed {
  const method = methodNamed(o.mode);
  if (method.learns === 'memory') return forecastBank(engine, peaks, teacher, method, o, images);
  const steps = Math.ceil(images / o.batch);
  // A step has no more images than there are.
  const shape = { ...o, batch: Math.min(o.batch, images) };
  let [bytes, seconds] = [0, 0];
  for (const stage of method.stages) {
    const step = forecastStep(engine, peaks, teacher, shape, stage);
    bytes = Math.max(bytes, step.bytes);
    seconds += (steps * (o.epochs[stage.number - 1] as number) * step.milliseconds) / 1000;
  }
  return { bytes, seconds };
}
