/** A kept training is run: its images, its checkpoints, its model. */
import { RandomStream } from '../src/base/random.ts';
import { augmentTraining, robustChanges } from '../src/data/augment.ts';
import { parseForeground } from '../src/data/foreground.ts';
import { trainingSetWarnings } from '../src/data/training_warnings.ts';
import { UnreadableFiles } from '../src/data/unreadable.ts';
import type { MapRunner } from '../src/detector/map_runner.ts';
import type { Engine } from '../src/engine/runtime/engine.ts';
import { findingsOf } from '../src/eval/findings.ts';
import type { Image } from '../src/image/image.ts';
import { backboneNamed } from '../src/model/backbones.ts';
import { systemClock } from '../src/session/ports.ts';
import { memoryReader } from '../src/session/score_samples.ts';
import { trainAndCalibrate } from '../src/session/train_and_calibrate.ts';
import { trainingRecord } from '../src/session/training_record.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import { heldOutOf } from './forecast.ts';
import { checkpoint, storeModel, type TrainingRecord } from './kept.ts';
import { readTeacher } from './teachers.ts';
import { type Loaded, load } from './training_images.ts';
import type { Example, TrainingCallbacks, TrainingResult } from './types.ts';

/** How many images are shown after each epoch. */
export const shownExamples = 4;

/** The maps of some images under the student of the moment. */
export async function showExamples(
  runner: MapRunner,
  examples: readonly { readonly name: string; readonly image: Image }[],
): Promise<Example[]> {
  const shown: Example[] = [];
  for (const { name, image } of examples) {
    const [result] = await runner.run([image]);
    if (result)
      shown.push({
        name,
        pixels: image.data,
        side: image.width,
        score: result.score,
        map: result.map,
      });
  }
  return shown;
}

/**
 * Trains from where the checkpoints are, tests, and keeps the model.
 *
 * @throws Interrupted where the signal is raised
 */
export async function runTraining(
  engine: Engine,
  record: TrainingRecord,
  callbacks: TrainingCallbacks,
  o: { readonly signal: AbortSignal | undefined; readonly onEpoch: () => void },
): Promise<TrainingResult> {
  const { job } = record;
  const started = systemClock.now();
  const good = await load(record, 'good', job.foreground);
  const bad = await load(record, 'bad', 'none');
  const { folds = 0, region } = job;
  const textures = proceduralTextures();
  const robust = job.robust ? robustChanges : undefined;
  const heldOutCount = heldOutOf(job, good.length);
  // By place, not by name as the command line draws: trainings that are kept were split so.
  const drawn = new Set(new RandomStream(job.seed, 'hold-out').sample(good.length, heldOutCount));
  const train = good.filter((_, i) => !drawn.has(i));
  const heldOut = good.filter((_, i) => drawn.has(i));
  const samplesOf = (list: readonly Loaded[]) => list.map(({ sample }) => sample);
  const photographs = {
    samples: samplesOf(train),
    images: train.map(({ image }) => image),
    paths: train.map(({ sample }) => sample.path),
    foregrounds: job.foreground === 'none' && !job.region ? undefined : train.map(({ mask }) => mask),
    warnings: [],
  };
  const warnings = trainingSetWarnings(photographs.images, photographs.paths);
  if (warnings.length) callbacks.onWarning(`${warnings.join('. ')}.`);
  const examples = [...bad, ...heldOut, ...train]
    .slice(0, shownExamples)
    .map(({ sample, image }) => ({ name: sample.path, image }));
  const augment = job.augment?.length ? job.augment : undefined;
  const data = augment ? augmentTraining(photographs, augment, job.seed) : photographs;
  return trainAndCalibrate(
    engine,
    {
      backbone: backboneNamed(job.backbone),
      mode: job.mode,
      teacher: await readTeacher({ backbone: job.backbone, source: job.teacher }),
      teacherName: job.teacher,
      images: data.images,
      imageNames: data.paths,
      foregrounds: data.foregrounds,
      region,
      folds,
      robust,
      textures,
      imageSize: job.imageSize,
      batch: job.batch,
      epochs: job.epochs,
      seed: job.seed,
      samples: {
        train: samplesOf(train),
        heldOut: samplesOf(heldOut),
        test: samplesOf(bad),
        // The threshold of a robust training comes from good images alone.
        testBorrowsGood: !job.robust,
      },
    },
    {
      reader: memoryReader(new Map([...good, ...bad].map(({ sample, image }) => [sample, image]))),
      // They were read when they were stored.
      unreadable: new UnreadableFiles({ strict: true }),
      imagesPerRun: 1,
      signal: o.signal,
      checkpoint: {
        stage1: checkpoint(record, 'stage1.checkpoint'),
        stage2: checkpoint(record, 'stage2.checkpoint'),
      },
      resume: true,
      onResume: (stage, history) => callbacks.onResume(stage, history),
      reporter: {
        counting: (label) => (done, total) => callbacks.onCounting(label, done, total),
        stop: () => {},
        training(progress) {
          callbacks.onProgress(progress);
          if (progress.images < progress.total) return;
          o.onEpoch();
          // Detectors that only judge images that were left out are not on the chart.
          if (!progress.stage.startsWith('left out')) callbacks.onEpoch(progress.stage, progress.losses);
        },
      },
      afterEpoch: async (runner) => callbacks.onExamples(await showExamples(runner, examples)),
      describe: ({ history }) => ({
        training: {
          ...trainingRecord(
            {
              ...job,
              ...{ teacherPath: job.teacher, textures, augment, robust, folds, labels: 'folder' },
              ...{ tiling: undefined, coreset: undefined, limit: undefined },
            },
            parseForeground(job.foreground) ?? { kind: 'none' },
            heldOut.length,
          ),
          seed: job.seed,
          category: job.name,
          history,
          images: train.length,
        },
        version: 'browser',
      }),
      saveModel: (bytes) => storeModel(record, bytes),
    },
    ({ settings, shown, evaluation, trainedAt }) => ({
      settings,
      findings: findingsOf({
        images: shown.images,
        calibration: settings.image,
        learned: train.length,
        goodLearned: !heldOut.length,
      }),
      auroc: evaluation.image?.auroc ?? null,
      f1: evaluation.image?.f1Max ?? null,
      trainedOn: train.length,
      heldOut: heldOut.length,
      seconds: (trainedAt - started) / 1000,
    }),
  );
}
