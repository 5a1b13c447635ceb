/**
 * The training of the library: photographs of any source in, a calibrated model out. It is the command line's
 * training, with its defaults; `Detector.train` opens what it gives.
 */
import { Interrupted, InvalidArgumentError } from '../base/errors.ts';
import { augmentTraining } from '../data/augment.ts';
import type { Dataset } from '../data/dataset.ts';
import type { TakenImage } from '../data/sources.ts';
import { trainingSetWarnings } from '../data/training_warnings.ts';
import { UnreadableFiles } from '../data/unreadable.ts';
import type { DetectorSettings } from '../detector/settings.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { type Findings, findingsOf } from '../eval/findings.ts';
import { type RankMetrics, rankMetrics } from '../eval/metrics.ts';
import { isAnomalous } from '../eval/thresholds.ts';
import { backboneNamed } from '../model/backbones.ts';
import { stageName } from '../model/method.ts';
import { bankSteps } from '../train/memory_bank.ts';
import type { TrainedDetector } from '../train/train_detector.ts';
import { systemClock } from './ports.ts';
import { programVersion } from './program_version.ts';
import { type TrainingJob, trainAndCalibrate } from './train_and_calibrate.ts';
import { planFromOptions, type TrainOptions } from './train_options.ts';
import { withCopies } from './training_defaults.ts';
import { adaptedTo, splitGood, variantOf } from './training_plan.ts';
import { partsOf, TrainingWatch } from './training_progress.ts';
import { trainingRecord } from './training_record.ts';
import { SourceImages, samplesOf } from './training_sources.ts';

/** Verdicts of images that were not learned. */
export interface JudgedImages {
  readonly good: number;
  /** Good ones that are called anomalous. */
  readonly falseAlarms: number;
  readonly bad: number;
  /** Bad ones that are called good. */
  readonly missed: number;
}

/** What a training came to. */
export interface TrainedModel {
  /** The model file: save it, and open it with `Detector.open`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** With the limits, the rules that they were drawn by, and what is known of the rate of false alarms. */
  readonly settings: DetectorSettings;
  /** How well scores tell bad images from good ones that were not learned; null without bad images. */
  readonly metrics: RankMetrics | null;
  readonly judged: JudgedImages;
  /** The same in words, with advice: what to know of the model before it is relied on. */
  readonly findings: Findings;
  /** Good images that were learned, without copies and tiles. */
  readonly learned: number;
  /** What to know of the photographs, one sentence each. */
  readonly warnings: readonly string[];
  /** Losses of each stage's epochs. */
  readonly history: TrainedDetector['history'];
  readonly seconds: number;
}

/** Scores that say something of new images: of those that were not learned. */
function judgedOf({ calibrationScores, image }: DetectorSettings, learned: number) {
  const fresh = calibrationScores.filter(({ source }) => source !== 'train');
  const [good, bad] = [false, true].map((kind) => fresh.filter(({ anomalous }) => anomalous === kind)) as [
    typeof fresh,
    typeof fresh,
  ];
  const flagged = (list: typeof fresh) => list.filter(({ score }) => isAnomalous(score, image)).length;
  const judged: JudgedImages = {
    good: good.length,
    falseAlarms: flagged(good),
    bad: bad.length,
    missed: bad.length - flagged(bad),
  };
  const metrics = rankMetrics(
    Float32Array.from(fresh, ({ score }) => score),
    fresh.map(({ anomalous }) => (anomalous ? 1 : 0)),
  );
  const goodLearned = !good.length;
  const findings = findingsOf({
    images: goodLearned ? calibrationScores : fresh,
    calibration: image,
    learned,
    goodLearned,
  });
  return { judged, metrics, findings };
}

/** Photographs as they were taken over from the caller. */
export interface Photographs {
  readonly good: readonly TakenImage[];
  readonly bad: readonly TakenImage[];
}

/**
 * Trains, calibrates and judges.
 *
 * @throws InvalidArgumentError on options, InvalidImageError and UnreadableError on images, by their number;
 *   Interrupted where the signal is raised; OutOfMemoryError; DeviceLostError or ClosedError
 */
export async function trainFromSources(
  engine: Engine,
  photographs: Photographs,
  options: Omit<TrainOptions, 'good' | 'bad'>,
): Promise<TrainedModel> {
  const { signal } = options;
  try {
    signal?.throwIfAborted();
    return await train(engine, photographs, options);
  } catch (error) {
    if (!signal?.aborted) throw error;
    const kept = options.checkpoint ? '; the last checkpoint holds the work so far' : '';
    throw new Interrupted(`the training was stopped by its signal${kept}`, { cause: signal.reason });
  }
}

async function train(
  engine: Engine,
  photographs: Photographs,
  options: Omit<TrainOptions, 'good' | 'bad'>,
): Promise<TrainedModel> {
  const { signal, name = 'product' } = options;
  const watch = new TrainingWatch(systemClock, (progress) => options.onProgress?.(progress));
  const good = samplesOf(photographs.good, 'good');
  const bad = samplesOf(photographs.bad, 'bad');
  if (!good.length)
    throw new InvalidArgumentError('there are no good images to learn from: give some as `good`');
  const { asked, teacher, method } = planFromOptions(options, bad.length, good.length);
  const dataset: Dataset = {
    name,
    format: 'folder',
    train: good.map(({ sample }) => sample),
    test: bad.map(({ sample }) => sample),
    folder: '',
    warnings: [],
  };
  const split = splitGood(asked, dataset);
  const full = { ...asked, ...adaptedTo(asked, dataset) };
  const { imageSize, tiling, region, seed, augment, folds, batch, epochs, coreset, robust } = full;
  const foreground = full.foreground ?? { kind: 'none' };
  // Where good images are left out in turn, each is judged by another detector: the bad ones stand alone.
  const borrows = bad.length > 0 && (split.heldOut.length > 0 || full.threshold?.kind === 'f1');

  const expect = (learned: number) =>
    watch.expect(
      partsOf({
        learned,
        stages:
          method.learns === 'student'
            ? method.stages.map((stage) => ({
                stage: stageName(stage),
                epochs: epochs[stage.number - 1] as number,
              }))
            : bankSteps.map((stage) => ({ stage, epochs: 1 })),
        leftOut: borrows ? 0 : folds,
        tested: bad.length + (borrows ? good.length : 0),
        calibrated: borrows || folds ? 0 : good.length,
      }),
    );
  expect(augment ? withCopies(split.train.length) : split.train.length);

  const file = await teacher.read(signal);
  const images = new SourceImages([...good, ...bad], { imageSize, foreground, tiling, region, signal });
  const reading = watch.counting('reading');
  const read = await images.learned(split.train, (done, total) => {
    signal?.throwIfAborted();
    reading(done, total);
  });
  const warnings = [...read.warnings, ...trainingSetWarnings(read.images, read.paths)];
  const data = augment ? augmentTraining(read, augment, seed) : read;
  expect(data.images.length);

  const job: TrainingJob = {
    backbone: backboneNamed(full.backbone),
    mode: full.mode,
    teacher: file,
    teacherName: teacher.name,
    images: data.images,
    imageNames: data.paths,
    foregrounds: data.foregrounds,
    robust,
    variant: variantOf(full, split.heldOut.length),
    textures: full.textures,
    imageSize,
    batch,
    epochs,
    seed,
    coreset,
    tiling,
    region,
    samples: { train: split.train, heldOut: split.heldOut, test: dataset.test, testBorrowsGood: borrows },
    folds: borrows ? 0 : folds,
    threshold: full.threshold,
  };
  const version = await programVersion();
  let bytes: Uint8Array<ArrayBuffer> | undefined;
  const outcome = await trainAndCalibrate(
    engine,
    job,
    {
      reader: images,
      unreadable: new UnreadableFiles({ strict: true }),
      reporter: watch,
      signal,
      checkpoint: options.checkpoint,
      resume: options.resume ?? false,
      describe: ({ history }) => ({
        training: {
          ...trainingRecord(full, foreground, split.heldOut.length),
          seed,
          category: name,
          history,
        },
        version,
      }),
      saveModel: async (model) => {
        bytes = model;
      },
    },
    ({ settings, history }) => ({ settings, history }),
  );
  signal?.throwIfAborted();
  watch.finish();
  return {
    bytes: bytes as unknown as Uint8Array<ArrayBuffer>,
    ...outcome,
    ...judgedOf(outcome.settings, split.train.length),
    learned: split.train.length,
    warnings,
    seconds: watch.seconds,
  };
}
