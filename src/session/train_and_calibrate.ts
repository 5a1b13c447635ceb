/**
 * The use case of a training: learns from good images, judges the test set and the images for the threshold,
 * draws the threshold, and hands the model over.
 */

import type { Sample } from '../data/dataset.ts';
import { checkInspects, type RegionOfInterest } from '../data/region.ts';
import type { Tiling } from '../data/tiles.ts';
import type { UnreadableFiles } from '../data/unreadable.ts';
import { writeDetector } from '../detector/file.ts';
import { MapRunner } from '../detector/map_runner.ts';
import { type DetectorSettings, newSettings } from '../detector/settings.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import type { Evaluation, Labels, TestedImage, TestSet } from '../eval/evaluate.ts';
import { calibrate, type ThresholdRule } from '../eval/thresholds.ts';
import type { Image } from '../image/image.ts';
import type { TrainDetectorOptions } from '../train/check_options.ts';
import { describeRun } from '../train/describe_run.ts';
import { type TrainedDetector, trainDetector } from '../train/train_detector.ts';
import { highestOf, highestScores } from './changed_images.ts';
import { type EpochTestPorts, EpochTests } from './epoch_tests.ts';
import { GateMeter, markedSamples, syntheticImages } from './gate_meter.ts';
import { goodOf, type JudgedSamples, judge } from './judge.ts';
import type { CurvePoint } from './learning_curve.ts';
import { scoreLeftOut, scoresOf } from './leave_out.ts';
import { type Clock, type Reporter, silent, systemClock } from './ports.ts';
import { type SampleReader, scoreSamples } from './score_samples.ts';

/** What a training learns from, and how; the caller's device and ports are apart. */
export interface TrainingJob
  extends Pick<
    TrainDetectorOptions,
    | 'backbone'
    | 'mode'
    | 'teacher'
    | 'teacherName'
    | 'imageNames'
    | 'foregrounds'
    | 'robust'
    | 'variant'
    | 'textures'
    | 'imageSize'
    | 'batch'
    | 'epochs'
    | 'seed'
    | 'coreset'
  > {
  /** Good images, resized to imageSize x imageSize. */
  readonly images: readonly Image[];
  readonly tiling?: Tiling | undefined;
  /**
   * Which part of every image is inspected, for scores, thresholds and the model; undefined: all of it. Where
   * synthetic anomalies may fall is for `foregrounds` to say.
   */
  readonly region?: RegionOfInterest | undefined;
  /** Images that are judged after the training. */
  readonly samples: JudgedSamples;
  /**
   * Where no images are held out and the threshold comes from good images: leave them out in so many parts,
   * each judged by a detector that learned the others. 0 or 1: the threshold comes from images that were
   * trained on.
   */
  readonly folds?: number | undefined;
  /**
   * Undefined: F1-max with a test set of both classes, else, and for a robust training, the largest score of
   * good images.
   */
  readonly threshold?: ThresholdRule | undefined;
  readonly labels?: Labels | undefined;
}

/** How the caller wants a training run. */
export interface TrainingPorts {
  readonly reader: SampleReader;
  readonly unreadable: UnreadableFiles;
  readonly reporter?: Reporter | undefined;
  readonly clock?: Clock | undefined;
  /** Images that the device judges at once; an image's result has the same bits in any number. */
  readonly imagesPerRun?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly checkpoint?: TrainDetectorOptions['checkpoint'];
  /** Continue from the checkpoints that are there. */
  readonly resume?: boolean;
  /** Told the losses of each stage's epochs that a checkpoint has finished. */
  readonly onResume?: TrainDetectorOptions['onResume'];
  /** Called after each epoch of the last stage, with a runner on its parameters. */
  readonly afterEpoch?: ((runner: MapRunner) => Promise<void>) | undefined;
  /** What is measured on the test set while the training runs; with checkpoints only. */
  readonly epochTests?: EpochTestPorts | undefined;
  /** The record of the training that the model file holds, and the version of the program. */
  describe(trained: {
    readonly history: TrainedDetector['history'];
    readonly bestEpoch: number | undefined;
  }): {
    readonly training: Readonly<Record<string, unknown>>;
    readonly version: string;
  };
  /** Keeps the model, before anything else is made of the result. */
  saveModel(bytes: Uint8Array<ArrayBuffer>, settings: DetectorSettings): Promise<void>;
}

/** What a training came to. Test set and runner are closed when its user returns. */
export interface TrainingOutcome {
  readonly settings: DetectorSettings & {
    readonly image: NonNullable<DetectorSettings['image']>;
    readonly pixel: NonNullable<DetectorSettings['pixel']>;
  };
  readonly history: TrainedDetector['history'];
  /** The epoch that was chosen on the test set. */
  readonly bestEpoch: number | undefined;
  /** What was measured over the epochs. */
  readonly curve: readonly CurvePoint[] | undefined;
  /** The tested images; those of the threshold where there is no test set. */
  readonly shown: TestSet;
  readonly evaluation: Evaluation;
  readonly runner: MapRunner;
  /** When the training was over, by the clock. */
  readonly trainedAt: number;
}

/** Programs on the parameters of a training, made when they are first needed and kept up to date. */
class OnTraining<T extends { refresh(): Promise<void>; destroy(): Promise<void> }> {
  readonly #make: (store: ParameterStore) => T;
  #made: T | undefined;

  constructor(make: (store: ParameterStore) => T) {
    this.#make = make;
  }

  /** With the parameters that the store holds now. */
  async on(store: ParameterStore): Promise<T> {
    this.#made ??= this.#make(store);
    await this.#made.refresh();
    return this.#made;
  }

  async destroy(): Promise<void> {
    await this.#made?.destroy();
  }
}

/**
 * Trains, calibrates, and keeps the model.
 *
 * @param use works with the outcome; its result is the use case's
 * @throws Error on inputs that do not fit; Interrupted and AbortError where the signal is raised;
 *   CheckpointError on checkpoints of another run; OutOfMemoryError; DeviceLostError
 */
export async function trainAndCalibrate<T>(
  engine: Engine,
  job: TrainingJob,
  ports: TrainingPorts,
  use: (outcome: TrainingOutcome) => T | Promise<T>,
): Promise<T> {
  const { samples, tiling, region, labels, threshold, folds = 0, ...options } = job;
  const { reader, unreadable, reporter = silent, clock = systemClock, signal, resume = false } = ports;
  const { backbone, mode, imageSize } = job;
  const { imagesPerRun } = ports;
  const scoring = { reader, reporter, clock, signal, tiling, unreadable, imagesPerRun };
  if (region) checkInspects(region, tiling ? undefined : imageSize);
  const running = new OnTraining((store) => new MapRunner(engine, store, backbone, mode, imageSize, region));
  const gating = new OnTraining((store) => new GateMeter(engine, store, backbone, mode, imageSize));
  const opened: TestSet[] = [];
  let trained: TrainedDetector | undefined;
  try {
    const run = ports.checkpoint && (await describeRun(options));
    const { epochTests } = ports;
    const tests =
      epochTests && samples.test.length && run
        ? await EpochTests.open(
            job.epochs,
            {
              detector: async (store) => {
                const runner = await running.on(store);
                const label = 'testing this epoch';
                const results = await scoreSamples(runner, samples.test, { ...scoring, label, labels });
                try {
                  return (await results.evaluate()).metrics;
                } finally {
                  await results.close();
                }
              },
              gates: async (store) => {
                const meter = await gating.on(store);
                return {
                  synthetic: await meter.measure(syntheticImages(job)),
                  // A tile is no sample: its mask would have to be cut too.
                  test: tiling
                    ? null
                    : await meter.measure(markedSamples(samples.test, imageSize, { ...scoring, region })),
                };
              },
            },
            epochTests,
            run,
            resume,
          )
        : undefined;
    const { afterEpoch } = ports;
    trained = await trainDetector({
      ...options,
      engine,
      ...(run && { run }),
      checkpoint: ports.checkpoint,
      resume,
      signal,
      onResume: ports.onResume,
      onProgress: reporter.training,
      afterEpoch: async (finished, store) => {
        await tests?.after(finished, store);
        if (afterEpoch && finished.stage === 2) await afterEpoch(await running.on(store));
      },
    });
    const { store, history } = trained;
    reporter.stop();
    const bestEpoch = await tests?.restore(store);
    const trainedAt = clock.now();

    const runner = await running.on(store);
    const score = async (list: readonly Sample[], label: string) => {
      const results = await scoreSamples(runner, list, { ...scoring, label, labels });
      opened.push(results);
      return results;
    };
    const { robust, seed } = job;
    const underChange =
      robust &&
      ((on: MapRunner, scored: readonly TestedImage[], good: readonly Sample[]) =>
        highestScores(scored, { reader, robust, seed }, (changed, label) =>
          scoreSamples(on, good, { ...scoring, reader: changed, label }),
        ));
    const parts = Math.min(folds, samples.train.length);
    const leftOut = () =>
      scoreLeftOut({
        training: { ...options, engine, signal },
        samples: samples.train,
        parts,
        region,
        onProgress: reporter.training,
        score: (other, list, label) => scoreSamples(other, list, { ...scoring, label, labels }),
        underChange,
      });
    const judgement = await judge(score, samples, threshold, {
      underChange: underChange && ((scored, good) => underChange(runner, scored, good)),
      leftOut: parts > 1 ? leftOut : undefined,
    });
    const { shown, evaluation, rule, goodScores, calibrationScores, origin } = judgement;
    const calibrations = calibrate({
      rule,
      image: evaluation.image,
      pixel: evaluation.pixel,
      good: goodScores,
      ...origin,
      ...(robust && { goodSource: origin.goodSource + highestOf }),
      tested: samples.test.length && !samples.testBorrowsGood ? scoresOf(goodOf(shown.images)) : [],
      imageRange: judgement.imageRange,
      pixelRange: judgement.pixelRange,
    });
    const settings = {
      ...newSettings({
        backbone: backbone.name,
        mode,
        imageSize,
        ...(tiling && { tiling }),
        ...(region && { region }),
        ...calibrations,
        calibrationScores,
        ...ports.describe({ history, bestEpoch }),
      }),
      ...calibrations,
    };
    await ports.saveModel(await writeDetector(store, settings), settings);
    const curve = tests?.points;
    return await use({ settings, history, bestEpoch, curve, shown, evaluation, runner, trainedAt });
  } finally {
    for (const results of opened) await results.close();
    await running.destroy();
    await gating.destroy();
    trained?.store.destroy();
  }
}
