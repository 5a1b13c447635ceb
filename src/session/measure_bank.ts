/**
 * How long a method that keeps features takes to learn on this device: a few images are looked at and a few
 * patches chosen, among as many as there will be.
 */

import { Interrupted } from '../base/errors.ts';
import { MapRunner } from '../detector/map_runner.ts';
import { ParameterStore } from '../engine/runtime/store.ts';
import { groups } from '../model/groups.ts';
import { bankName, type MemoryMethod, methodParameters } from '../model/method.ts';
import { greedyCoreset } from '../train/coreset.ts';
import { FeatureReader, inRuns } from '../train/feature_reader.ts';
import { bankSteps, coresetSize } from '../train/memory_bank.ts';
import { teacherFile } from '../weights/import.ts';
import { loadParameters } from '../weights/parameters.ts';
import {
  imagesOfParts,
  type MeasuredJob,
  type MeasurePorts,
  measureScoring,
  noise,
  type TrainingPart,
} from './measured_job.ts';
import { systemClock } from './ports.ts';

/** Patches that are chosen after the first two, whose choice compiles. */
const chosenPatches = 12;
/** Values of patches that the choice is tried with at most; more take as much longer. */
const mostValues = 2 ** 24;
/** Phases of the measurement, for its progress. */
const phases = 4;

/**
 * Measures the parts of a learning. What it compiles stays compiled.
 *
 * @throws Interrupted when the signal is raised; Error on an unusable teacher file; OutOfMemoryError;
 *   DeviceLostError
 */
export async function measureBank(
  job: MeasuredJob,
  method: MemoryMethod,
  { clock = systemClock, signal, onProgress }: MeasurePorts = {},
): Promise<TrainingPart[]> {
  const { imageSize, images, folds, scored, photographs } = job;
  const now = () => clock.now() / 1000;
  let done = 0;
  const finished = () => {
    if (signal?.aborted) throw new Interrupted();
    onProgress?.(++done / phases);
  };

  // A run has as many images as the learning's own runs.
  const [run = []] = inRuns([...Array(images).keys()]);
  const reader = new FeatureReader({ ...job, images: run.map((i) => noise(imageSize, i)) }, method);
  const { rows, projected } = reader;
  const perImage = async (what: 'projection' | 'features') => {
    await reader.read(run, what);
    const started = now();
    await reader.read(run, what);
    const seconds = (now() - started) / run.length;
    finished();
    return seconds;
  };
  let looking: number;
  let gathering: number;
  try {
    looking = await perImage('projection');
    gathering = await perImage('features');
  } finally {
    await reader.destroy();
  }

  const patches = rows * images;
  const tried = Math.min(patches, Math.floor(mostValues / projected));
  const choosing = (patches / tried) * (await measureChoice(job, tried, projected, now));
  finished();
  const scoring = await measureBankScoring(job, method, coresetSize(patches, job.coreset), now);
  finished();

  /** Seconds of each step of learning so many images. */
  const learning = (count: number) => {
    const kept = coresetSize(rows * count, job.coreset);
    return [count * looking, (kept * choosing * count) / images, Math.min(count, kept) * gathering];
  };
  const parts = learning(images).map((seconds, i) => ({ name: bankSteps[i] as string, seconds }));
  const others = learning(imagesOfParts(job)).reduce((sum, seconds) => sum + seconds, 0);
  for (let part = 1; folds > 1 && part <= folds; part++)
    parts.push({
      name: `left out ${part} of ${folds}`,
      seconds: others + scoring.start + (photographs / folds) * scoring.image,
    });
  if (scored) parts.push({ name: 'testing', seconds: scoring.start + scored * scoring.image });
  return parts;
}

/** Seconds of a choice among so many patches. */
async function measureChoice(
  { engine }: Pick<MeasuredJob, 'engine'>,
  patches: number,
  channels: number,
  now: () => number,
): Promise<number> {
  const rows = Float32Array.from(
    { length: patches * channels },
    (_, i) => Math.imul(i, 0x9e3779b1) / 2 ** 31,
  );
  const stamps: number[] = [];
  const count = Math.min(patches, 2 + chosenPatches);
  await greedyCoreset(engine, rows, channels, { count, first: 0, onChosen: () => stamps.push(now()) });
  // The second choice compiles what the driver left.
  const [from = 0, to = 0] = [stamps[Math.min(1, stamps.length - 1)], stamps.at(-1)];
  return (to - from) / Math.max(1, stamps.length - 2);
}

/** How long a detector with a bank of so many rows judges an image. */
async function measureBankScoring(
  { engine, backbone, mode, imageSize, teacher, teacherName }: MeasuredJob,
  method: MemoryMethod,
  rows: number,
  now: () => number,
) {
  const set = methodParameters(backbone, method, { rows });
  const store = new ParameterStore(engine, set);
  let runner: MapRunner | undefined;
  try {
    loadParameters(store, [groups.teacher], teacherFile(teacher, teacherName), teacherName, 'teacher.');
    const [, channels] = set.spec(bankName).shape as [number, number];
    store.write(bankName, new Float32Array(rows * channels));
    runner = new MapRunner(engine, store, backbone, mode, imageSize);
    await runner.refresh();
    return await measureScoring(runner, noise(imageSize, 0), now);
  } finally {
    await runner?.destroy();
    store.destroy();
  }
}
