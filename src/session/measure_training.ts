/**
 * How long a training will take on this device, by its first steps: a few epochs of the same shapes on a few
 * images of noise, with everything that an epoch does beside its steps. Arithmetic alone does not tell it:
 * compiling, drawing synthetic anomalies, checkpoints and examples may take longer than the kernels.
 */

import { MapRunner } from '../detector/map_runner.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import type { StudentMethod } from '../model/method.ts';
import { methodNamed } from '../model/methods.ts';
import { trainDetector } from '../train/train_detector.ts';
import { measureBank } from './measure_bank.ts';
import {
  imagesOfParts,
  type MeasuredJob,
  type MeasurePorts,
  measureScoring,
  noise,
  type ScoringTimes,
  type TrainingPart,
} from './measured_job.ts';
import { systemClock } from './ports.ts';

/** Epochs of the first try: the first one compiles, the others are measured. */
const coldEpochs = 3;
/** Of the second one, which finds its kernels compiled. */
const warmEpochs = 2;
/** Steps of full size in an epoch of a try; the others take as long. */
const fullSteps = 2;

interface StageTimes {
  /** What the first epoch took longer than the others. */
  readonly overhead: number;
  /** Seconds of an epoch. */
  readonly epoch: number;
}

const fullOf = (images: number, batch: number) => Math.floor(images / batch);

/** Images of a try: two full steps at most, and the short last one. */
function triedImages(images: number, batch: number): number {
  return Math.min(fullOf(images, batch), fullSteps) * batch + (images % batch);
}

/**
 * The times of a stage.
 *
 * @param stamps when each step was over, in seconds
 * @param started when the stage began
 * @param steps of an epoch of the try
 * @param more full steps of an epoch that the try leaves out
 */
export function stageTimes(
  stamps: readonly number[],
  started: number,
  steps: number,
  more: number,
): StageTimes {
  const epochs = stamps.length / steps;
  const taken = Array.from({ length: steps }, (_, step) => {
    let sum = 0;
    for (let epoch = 1; epoch < epochs; epoch++) {
      const at = epoch * steps + step;
      sum += (stamps[at] as number) - (stamps[at - 1] as number);
    }
    return sum / (epochs - 1);
  });
  const tried = taken.reduce((sum, seconds) => sum + seconds, 0);
  // The first step of an epoch waits for what lies between epochs.
  const full = taken[Math.min(1, steps - 1)] as number;
  const first = (stamps[steps - 1] as number) - started;
  return { overhead: Math.max(0, first - tried), epoch: tried + more * full };
}

/**
 * Measures the parts of a training. What it compiles stays compiled, so that the training itself begins
 * sooner.
 *
 * @throws Interrupted when the signal is raised; whatever a training throws
 */
export async function measureTraining(job: MeasuredJob, ports: MeasurePorts = {}): Promise<TrainingPart[]> {
  const method = methodNamed(job.mode);
  return method.learns === 'memory' ? measureBank(job, method, ports) : measureStages(job, method, ports);
}

async function measureStages(
  job: MeasuredJob,
  method: StudentMethod,
  ports: MeasurePorts,
): Promise<TrainingPart[]> {
  const { engine, backbone, mode, imageSize, batch, epochs, images, folds, scored, photographs } = job;
  const { clock = systemClock, onProgress } = ports;
  const now = () => clock.now() / 1000;
  const tries = [
    { images, epochs: coldEpochs, own: true },
    { images: imagesOfParts(job), epochs: warmEpochs, own: folds <= 1 },
  ].map((each) => ({ ...each, steps: Math.ceil(triedImages(each.images, batch) / batch) }));
  const total = tries.reduce((sum, { steps, epochs }) => sum + method.stages.length * steps * epochs, 0);
  let done = 0;
  let scoring: ScoringTimes = { start: 0, image: 0 };

  const attempt = async ({ images: count, epochs: tried, steps, own }: (typeof tries)[number]) => {
    const list = Array.from({ length: triedImages(count, batch) }, (_, i) => noise(imageSize, i));
    const stamps = new Map<string, number[]>();
    const started = new Map<string, number>();
    let before = now();
    let runner: MapRunner | undefined;
    const onStore = (store: ParameterStore) => {
      runner ??= new MapRunner(engine, store, backbone, mode, imageSize);
      return runner;
    };
    const { store } = await trainDetector({
      engine,
      backbone,
      mode,
      teacher: job.teacher,
      teacherName: job.teacherName,
      textures: job.textures,
      robust: job.robust,
      imageSize,
      batch,
      seed: job.seed,
      images: list,
      epochs: [tried, tried],
      signal: ports.signal,
      ...(own && { checkpoint: ports.checkpoint }),
      onProgress: ({ stage }) => {
        const times = stamps.get(stage) ?? [];
        if (!times.length) {
          stamps.set(stage, times);
          started.set(stage, before);
        }
        before = now();
        times.push(before);
        onProgress?.(++done / total);
      },
      afterEpoch: async ({ stage }, store) => {
        if (stage !== 2 || !own) return;
        const on = onStore(store);
        await on.refresh();
        await ports.afterEpoch?.(on, list);
      },
    });
    try {
      const on = onStore(store);
      await on.refresh();
      scoring = await measureScoring(on, noise(imageSize, 0), now);
    } finally {
      await runner?.destroy();
      store.destroy();
    }
    const more = fullOf(count, batch) - Math.min(fullOf(count, batch), fullSteps);
    return new Map(
      [...stamps].map(
        ([stage, times]) => [stage, stageTimes(times, started.get(stage) as number, steps, more)] as const,
      ),
    );
  };

  const [first, second] = tries as [(typeof tries)[number], (typeof tries)[number]];
  const cold = await attempt(first);
  const warm = await attempt(second);
  const epochsOf = (stage: string) => epochs[stage === 'stage I' ? 0 : 1];
  const parts: TrainingPart[] = [...cold].map(([name, { epoch }]) => ({
    name,
    seconds: (warm.get(name)?.overhead ?? 0) + epochsOf(name) * epoch,
  }));
  for (let part = 1; folds > 1 && part <= folds; part++) {
    let seconds = scoring.start + (photographs / folds) * scoring.image;
    for (const [stage, { overhead, epoch }] of warm) seconds += overhead + epochsOf(stage) * epoch;
    parts.push({ name: `left out ${part} of ${folds}`, seconds });
  }
  if (scored) parts.push({ name: 'testing', seconds: scoring.start + scored * scoring.image });
  return parts;
}
