/**
 * How long a training will take on this device, by its first steps: a few epochs of the same shapes on a few
 * images of noise, with everything that an epoch does beside its steps. Arithmetic alone does not tell it:
 * compiling, drawing synthetic anomalies, checkpoints and examples may take longer than the kernels.
 */

import { RandomStream } from '../base/random.ts';
import { MapRunner } from '../detector/map_runner.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import type { Image } from '../image/image.ts';
import type { StudentMode } from '../model/methods.ts';
import type { TrainDetectorOptions } from '../train/check_options.ts';
import { trainDetector } from '../train/train_detector.ts';
import { type Clock, systemClock } from './ports.ts';

/** A part of a training, in the order in which they run. */
export interface TrainingPart {
  /** `stage I`, `stage II`, `testing`, and `left out 1 of 2` and so on. */
  readonly name: string;
  readonly seconds: number;
}

/** What is measured. */
export interface MeasuredJob
  extends Pick<
    TrainDetectorOptions,
    | 'engine'
    | 'backbone'
    | 'teacher'
    | 'teacherName'
    | 'textures'
    | 'robust'
    | 'imageSize'
    | 'batch'
    | 'epochs'
    | 'seed'
  > {
  readonly mode: StudentMode;
  /** Images that are learned, copies included. */
  readonly images: number;
  /** Parts that images are left out in for the threshold; 0 or 1: none are. */
  readonly folds: number;
  /** Images that are scored at the end, beside those that are left out. */
  readonly scored: number;
  /** Good images that are scored where they are left out. */
  readonly photographs: number;
}

/** How the caller's training runs, as far as it takes time. */
export interface MeasurePorts {
  readonly checkpoint?: TrainDetectorOptions['checkpoint'];
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
  /** As in the training: after each epoch of the last stage. */
  readonly afterEpoch?: ((runner: MapRunner, images: readonly Image[]) => Promise<void>) | undefined;
  /** Told what is done, from 0 to 1: compiling comes before the first step of each stage. */
  readonly onProgress?: ((share: number) => void) | undefined;
}

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

/** An image of noise: what it shows does not change how long it takes. */
function noise(side: number, index: number): Image {
  const random = new RandomStream('measured training', index);
  const data = new Uint8Array(3 * side * side);
  const words = new Uint32Array(data.buffer, 0, data.length >> 2);
  for (let i = 0; i < words.length; i++) words[i] = random.bits();
  return { width: side, height: side, channels: 3, data };
}

/**
 * Measures the parts of a training. What it compiles stays compiled, so that the training itself begins
 * sooner.
 *
 * @throws Interrupted when the signal is raised; whatever a training throws
 */
export async function measureTraining(job: MeasuredJob, ports: MeasurePorts = {}): Promise<TrainingPart[]> {
  const { engine, backbone, mode, imageSize, batch, epochs, images, folds, scored, photographs } = job;
  const { clock = systemClock, onProgress } = ports;
  const now = () => clock.now() / 1000;
  const others = folds > 1 ? Math.max(1, Math.round(images * (1 - 1 / folds))) : images;
  const tries = [
    { images, epochs: coldEpochs, own: true },
    { images: others, epochs: warmEpochs, own: folds <= 1 },
  ].map((each) => ({ ...each, steps: Math.ceil(triedImages(each.images, batch) / batch) }));
  const stages = mode === 'rd' ? 1 : 2;
  const total = tries.reduce((sum, { steps, epochs }) => sum + stages * steps * epochs, 0);
  let done = 0;
  let scoring = { start: 0, image: 0 };

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
      const image = list.slice(0, 1);
      const begun = now();
      await on.run(image);
      const compiled = now();
      for (let i = 0; i < fullSteps; i++) await on.run(image);
      const perImage = (now() - compiled) / fullSteps;
      scoring = { start: Math.max(0, compiled - begun - perImage), image: perImage };
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
