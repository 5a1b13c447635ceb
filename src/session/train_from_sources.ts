/**
 * The training of the library: photographs of any source in, a calibrated model out. It is the command line's
 * training, with its defaults; `Detector.train` opens what it gives.
 */
import { packagedWeights } from '#platform';
import { Interrupted, InvalidArgumentError } from '../base/errors.ts';
import { type Augmentation, augmentTraining, robustChanges } from '../data/augment.ts';
import type { Dataset } from '../data/dataset.ts';
import { type ForegroundRule, parseForeground } from '../data/foreground.ts';
import { checkInspects, type RegionOfInterest } from '../data/region.ts';
import {
  type FileSource,
  fileBytes,
  type ImageSource,
  nameOfSource,
  type TakenImage,
} from '../data/sources.ts';
import { checkTiling, type Tiling } from '../data/tiles.ts';
import { trainingSetWarnings } from '../data/training_warnings.ts';
import { UnreadableFiles } from '../data/unreadable.ts';
import type { DetectorSettings } from '../detector/settings.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { type Findings, findingsOf } from '../eval/findings.ts';
import { type RankMetrics, rankMetrics } from '../eval/metrics.ts';
import { isAnomalous, parseThreshold, type ThresholdRule } from '../eval/thresholds.ts';
import { backboneNamed } from '../model/backbones.ts';
import { needStudent, stageName, usesAnomalies } from '../model/method.ts';
import { type Mode, methodNamed } from '../model/methods.ts';
import { checkImageSize } from '../model/teacher.ts';
import type { TextureSource } from '../synthetic/anomaly.ts';
import { proceduralTextures } from '../synthetic/procedural_textures.ts';
import type { TrainDetectorOptions } from '../train/check_options.ts';
import { bankSteps, defaultCoreset } from '../train/memory_bank.ts';
import type { TrainedDetector } from '../train/train_detector.ts';
import { packagedBackbones, packagedTeacherFile } from '../weights/packaged.ts';
import { readWeightsFile } from '../weights/read_weights.ts';
import type { SafetensorsFile } from '../weights/safetensors.ts';
import { systemClock } from './ports.ts';
import { programVersion } from './program_version.ts';
import { type TrainingJob, trainAndCalibrate } from './train_and_calibrate.ts';
import { holdOutLeast, holdOutShare, trainingDefaults, withCopies } from './training_defaults.ts';
import { type AskedPlan, adaptedTo, splitGood, variantOf } from './training_plan.ts';
import { partsOf, type TrainingProgress, TrainingWatch } from './training_progress.ts';
import { trainingRecord } from './training_record.ts';
import { SourceImages, samplesOf } from './training_sources.ts';

/** What a detector is trained from, and how. All but `good` has the command line's defaults. */
export interface TrainOptions {
  /** Photographs of good parts: what is learned. Some dozens are usual. */
  readonly good: readonly ImageSource[];
  /**
   * Photographs of bad parts, where there are some. They are not learned: the limit is drawn between them and
   * good ones, and the result says how many are found.
   */
  readonly bad?: readonly ImageSource[] | undefined;
  /** What the product is called; the model file keeps it. */
  readonly name?: string | undefined;
  /** `resnet18` (the default), `resnet18_half` (a quarter of the model file), or another with its teacher. */
  readonly backbone?: string | undefined;
  /**
   * The teacher's weights (.safetensors, or .pth of torchvision): bytes, a Blob, a path or URL. By default
   * those that come with this package; in browsers they are fetched from beside the library.
   */
  readonly teacher?: FileSource | undefined;
  /** `aand` by default; others are for comparison. */
  readonly mode?: Mode | undefined;
  /** Side of the network's input in pixels, a multiple of 32; default 256. */
  readonly imageSize?: number | undefined;
  /** Images per step; default 16. */
  readonly batch?: number | undefined;
  /** Epochs of both stages; default 100 and 120, and more of fewer than 64 images, for as many steps. */
  readonly epochs?: readonly [number, number] | undefined;
  /** Of the random numbers; default 0. The same seed and images give the same model on the same device. */
  readonly seed?: number | undefined;
  /** Share of the patches that the mode `patchcore` keeps; default .01. */
  readonly coreset?: number | undefined;
  /**
   * Where on a photograph the product is: `none` (everywhere, the default), `otsu-bright`, `otsu-dark`,
   * `threshold:T`, `threshold-dark:T`, `disc`, `rectangle`.
   */
  readonly foreground?: string | undefined;
  /**
   * Which part of every image is inspected: polygons and a mask in shares of the image (`parseRegion`,
   * `regionFromImage`). What lies outside is not learned as a defect, and counts in no score. Default: all.
   */
  readonly roi?: RegionOfInterest | undefined;
  /** Cut images into squares of their own pixels instead of resizing them whole. */
  readonly tiling?: Tiling | undefined;
  /**
   * Where the limit is drawn: a rule, or its text (`f1`, `max`, `quantile:Q`, `false-alarms:RATE`,
   * `value:RAW`). Default: the best F1 where there are bad images and good ones that were held out, else the
   * largest score of good images.
   */
  readonly threshold?: ThresholdRule | string | undefined;
  /**
   * Share of the good images that is kept from the training for the limit, 0 to below 1. Default: .1 of 32
   * and more; fewer are left out in turn, which trains as long again.
   */
  readonly holdOut?: number | undefined;
  /** Of few images also learn changed copies: what may change without a defect. */
  readonly augment?: readonly Augmentation[] | undefined;
  /** Learn every image under other light and a moved camera, drawn anew in each epoch. */
  readonly robust?: boolean | undefined;
  /** Textures of the synthetic anomalies; default: procedural ones. */
  readonly textures?: TextureSource | undefined;
  /** Where finished epochs are kept. */
  readonly checkpoint?: TrainDetectorOptions['checkpoint'];
  /** Continue from the checkpoints that are there. */
  readonly resume?: boolean | undefined;
  /** Stops the training; the call rejects with Interrupted, whose `cause` is the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Told after every batch how far the whole training is. What it throws ends the training. */
  readonly onProgress?: ((progress: TrainingProgress) => void) | undefined;
}

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

function ruleOf(threshold: TrainOptions['threshold'], bad: number): ThresholdRule | undefined {
  const rule = typeof threshold === 'string' ? parseThreshold(threshold) : threshold;
  if (rule?.kind === 'f1' && !bad)
    throw new InvalidArgumentError(
      'the threshold rule f1 needs bad images: give some as `bad`, or use max, quantile:Q or ' +
        'false-alarms:RATE',
    );
  return rule;
}

function foregroundOf({ foreground = 'none' }: Pick<TrainOptions, 'foreground'>, mode: Mode): ForegroundRule {
  const rule = parseForeground(foreground) ?? { kind: 'none' };
  if (rule.kind === 'folder')
    throw new InvalidArgumentError(
      `the foreground '${foreground}' names a folder of masks, which the command line reads: use one of ` +
        'the rules that need no files',
    );
  return usesAnomalies(methodNamed(mode)) ? rule : { kind: 'none' };
}

/** Which teacher, before anything is read. */
function teacherOf({ teacher }: Pick<TrainOptions, 'teacher'>, backbone: string) {
  if (teacher === undefined && !packagedBackbones.includes(backbone))
    throw new InvalidArgumentError(
      `a teacher is needed for ${backbone}: those that come with this package are for ` +
        packagedBackbones.join(' and '),
    );
  const name = teacher === undefined ? packagedTeacherFile(backbone) : (nameOfSource(teacher) ?? 'teacher');
  const read = async (signal: AbortSignal | undefined): Promise<SafetensorsFile> =>
    readWeightsFile(
      teacher === undefined ? await packagedWeights(name) : await fileBytes(teacher, 'the teacher', signal),
      name,
    );
  return { name, read };
}

/** What is asked for, checked as far as that needs no image. */
function plan(o: Omit<TrainOptions, 'good' | 'bad'>, bad: number, good: number) {
  const { mode = trainingDefaults.mode, imageSize = trainingDefaults.imageSize, tiling, holdOut } = o;
  const { backbone = trainingDefaults.backbone } = o;
  backboneNamed(backbone);
  const method = methodNamed(mode);
  checkImageSize(imageSize);
  if (tiling) checkTiling(tiling);
  if (o.roi) checkInspects(o.roi, tiling ? undefined : imageSize);
  if (holdOut !== undefined && !(holdOut >= 0 && holdOut < 1))
    throw new InvalidArgumentError(`holdOut is ${holdOut}, expected a share from 0 to below 1`);
  if (o.robust) needStudent(method, 'images cannot change from epoch to epoch');
  if (o.robust && tiling)
    throw new InvalidArgumentError('robust works on whole images: leave `tiling` or `robust` out');
  const teacher = teacherOf(o, backbone);
  const asked: Omit<AskedPlan, 'teacher' | 'unreadable'> = {
    backbone,
    mode,
    imageSize,
    batch: o.batch ?? trainingDefaults.batch,
    epochs: o.epochs,
    seed: o.seed ?? trainingDefaults.seed,
    coreset: o.coreset ?? defaultCoreset,
    limit: undefined,
    teacherPath: teacher.name,
    textures: o.textures ?? proceduralTextures(),
    foreground: foregroundOf(o, mode),
    tiling,
    region: o.roi,
    threshold: ruleOf(o.threshold, bad),
    // With bad images alone to test, good ones that were not learned are needed beside them.
    holdOut: holdOut ?? (bad && good >= holdOutLeast ? holdOutShare : undefined),
    labels: 'folder',
    select: 'last',
    augment: o.augment?.length ? o.augment : undefined,
    robust: o.robust ? robustChanges : undefined,
  };
  return { asked, teacher, method };
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
  const { asked, teacher, method } = plan(options, bad.length, good.length);
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
