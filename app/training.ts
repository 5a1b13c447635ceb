/**
 * Training in the worker: images, checkpoints and the result are kept on this device, so a closed tab loses
 * one epoch.
 */
import { decodeImage } from '#platform';
import { RandomStream } from '../src/base/random.ts';
import { augmentTraining, robustChanges } from '../src/data/augment.ts';
import type { Sample } from '../src/data/dataset.ts';
import { foreground, foregroundRuleFor, parseForeground } from '../src/data/foreground.ts';
import { type RegionOfInterest, regionPixels } from '../src/data/region.ts';
import { both } from '../src/data/training_images.ts';
import { trainingSetWarnings } from '../src/data/training_warnings.ts';
import { UnreadableFiles } from '../src/data/unreadable.ts';
import type { MapRunner } from '../src/detector/map_runner.ts';
import type { Engine } from '../src/engine/runtime/engine.ts';
import { findingsOf } from '../src/eval/findings.ts';
import type { Image } from '../src/image/image.ts';
import { denormalize, normalize } from '../src/image/normalize.ts';
import { resizeBicubic } from '../src/image/resize.ts';
import { backboneNamed } from '../src/model/backbones.ts';
import { throughLosses } from '../src/session/device_losses.ts';
import type { TrainingPart } from '../src/session/measure_training.ts';
import { systemClock } from '../src/session/ports.ts';
import { memoryReader } from '../src/session/score_samples.ts';
import { trainAndCalibrate } from '../src/session/train_and_calibrate.ts';
import { synthesizeAnomaly } from '../src/synthetic/anomaly.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import { adoptOlder } from './adopt.ts';
import { forecastJob, heldOutOf, measureJob } from './forecast.ts';
import {
  checkpoint,
  discardModel,
  discardTraining,
  imageBytes,
  keptModel,
  keptTraining,
  modelFile,
  storeModel,
  storeTraining,
  type TrainingRecord,
} from './kept.ts';
import type { LongWork } from './long_work.ts';
import { addTeacher, readTeacher, teachers } from './teachers.ts';
import { isHeldElsewhere, withTrainingLock } from './training_lock.ts';
import type {
  ChosenImage,
  Example,
  ForecastFacts,
  ForecastImages,
  Kept,
  Preview,
  TeacherFacts,
  TrainingCallbacks,
  TrainingJob,
  TrainingResult,
} from './types.ts';

const shownExamples = 4;
const previewSide = 96;
const previewCount = 8;
/** A training is tried out first where it has so many epochs: shorter ones are over sooner than a try. */
const triedEpochs = 20;
/** Photographs whose reading is timed. */
const timedImages = 3;

interface Loaded {
  readonly sample: Sample;
  readonly image: Image;
  readonly mask: Uint8Array;
}

/** A rule by its name; 'auto' means no foreground here, for nobody knows the product. */
function ruleOf(text: string) {
  return parseForeground(text) ?? foregroundRuleFor('folder', '');
}

/** Where synthetic anomalies may fall on an image. */
function foregroundOf(
  image: Image,
  rule: string,
  region: RegionOfInterest | undefined,
  size: number,
): Uint8Array {
  return both(foreground(image, ruleOf(rule), size), region && regionPixels(region, size, size));
}

async function load(record: TrainingRecord, kind: 'good' | 'bad', rule: string): Promise<Loaded[]> {
  const { imageSize: size, region } = record.job;
  const loaded: Loaded[] = [];
  for (const [i, name] of record[kind].entries()) {
    const image = await decodeImage(await imageBytes(record, kind, i), name);
    loaded.push({
      sample: { path: name, stem: name, defect: kind },
      image: resizeBicubic(image, size, size),
      mask: foregroundOf(image, rule, region, size),
    });
  }
  return loaded;
}

/** The maps of some images under the student of the moment. */
async function show(
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

export class Trainer {
  readonly #open: () => Promise<Engine>;
  readonly #longWork: LongWork;
  #stop: AbortController | undefined;
  #adopted: Promise<void> | undefined;
  /** What was measured last, and of which training. */
  #measured: { readonly of: string; readonly parts: readonly TrainingPart[] } | undefined;
  /** Settled when nothing of this tab writes what is kept. */
  #running: Promise<unknown> = Promise.resolve();

  /** @param open gives the device, a new one after the last was lost */
  constructor(open: () => Promise<Engine>, longWork: LongWork) {
    this.#open = open;
    this.#longWork = longWork;
  }

  teachers(): Promise<TeacherFacts[]> {
    return teachers();
  }

  /** Takes over torchvision's weights for this and later trainings. */
  addTeacher(name: string, bytes: ArrayBuffer, replace: boolean): ReturnType<typeof addTeacher> {
    return addTeacher(name, new Uint8Array(bytes), replace);
  }

  /** Runs work that writes what is kept, alone among the tabs of this page. */
  #locked<T>(work: () => Promise<T>): Promise<T> {
    const run = withTrainingLock(work);
    this.#running = run.catch(() => {});
    return run;
  }

  #begin(): AbortController {
    this.#stop = new AbortController();
    return this.#stop;
  }

  /** What is kept from before. */
  async kept(): Promise<Kept> {
    const elsewhere = await isHeldElsewhere();
    if (!elsewhere && !this.#longWork.busy) await this.#adopt();
    const [training, model] = [await keptTraining(), await keptModel()];
    return {
      elsewhere,
      training: training && {
        job: training.job,
        good: training.good.length,
        bad: training.bad.length,
        finished: model?.id === training.id,
      },
      model: model?.job,
    };
  }

  /**
   * Once: what an earlier version of the page kept. It stays where it is while another tab writes, or where
   * it is damaged.
   */
  #adopt(): Promise<void> {
    this.#adopted ??= this.#locked(adoptOlder).catch(() => {});
    return this.#adopted;
  }

  /** Stops the training if it runs, and removes its images and checkpoints; a finished model stays. */
  async discardTraining(): Promise<void> {
    this.#stop?.abort();
    await this.#running;
    await this.#locked(discardTraining);
  }

  /** Removes the finished model, and the training that made it. */
  async discardAll(): Promise<void> {
    await this.discardTraining();
    await this.#locked(discardModel);
  }

  pause(): void {
    this.#stop?.abort();
  }

  /** Stopped by {@link pause}, as a training is. */
  forecast(
    job: TrainingJob,
    images: ForecastImages,
    onTried: (share: number) => void,
  ): Promise<ForecastFacts> {
    return this.#longWork.run('a forecast', async () => {
      const { signal } = this.#begin();
      const engine = await this.#open();
      return forecastJob(engine, job, images.good, () =>
        this.#measure(engine, job, images, { signal, onTried }),
      );
    });
  }

  /** The parts of a training and their times; the same training is not tried twice. */
  async #measure(
    engine: Engine,
    job: TrainingJob,
    images: ForecastImages,
    o: { readonly signal: AbortSignal; readonly onTried: (share: number) => void },
  ): Promise<readonly TrainingPart[]> {
    const { name: _, ...shape } = job;
    const of = JSON.stringify([shape, images.good, images.bad]);
    if (this.#measured?.of === of) return this.#measured.parts;
    const parts = await measureJob(engine, job, images, {
      ...o,
      show: async (runner, list) => {
        const examples = list.slice(0, shownExamples).map((image) => ({ name: '', image }));
        await show(runner, examples);
      },
    });
    this.#measured = { of, parts };
    return parts;
  }

  /** Tries out a training that is about to begin, where that is worth its time. */
  async #plan(record: TrainingRecord, callbacks: TrainingCallbacks, signal: AbortSignal): Promise<void> {
    const { job, good, bad } = record;
    if (job.epochs[0] + job.epochs[1] < triedEpochs) return;
    const some = await Promise.all(
      good.slice(0, timedImages).map(async (name, i) => ({
        name,
        bytes: (await imageBytes(record, 'good', i)).slice().buffer as ArrayBuffer,
      })),
    );
    try {
      const images = { good: good.length, bad: bad.length, some };
      const onTried = (share: number) => void callbacks.onTried(share);
      callbacks.onParts(await this.#measure(await this.#open(), job, images, { signal, onTried }));
    } catch (error) {
      if (signal.aborted) throw error;
      // The training itself meets what is wrong, and says it or mends it.
    }
  }

  /** What stage I will see, of a few good images. */
  async preview(job: TrainingJob, files: readonly { name: string; bytes: ArrayBuffer }[]): Promise<Preview> {
    const foregrounds: Uint8Array[] = [];
    const anomalies: Uint8Array[] = [];
    const textures = proceduralTextures();
    let covered = 0;
    for (const [i, { name, bytes }] of files.slice(0, previewCount).entries()) {
      const native = await decodeImage(new Uint8Array(bytes), name);
      const image = resizeBicubic(native, previewSide, previewSide);
      const mask = foregroundOf(native, job.foreground, job.region, previewSide);
      covered += mask.reduce((sum, value) => sum + value, 0) / mask.length;
      foregrounds.push(image.data.map((value, p) => (mask[Math.floor(p / 3)] ? value : value >> 2)));
      // A stream whose sample is not a clean one: every fifth is.
      for (let attempt = 0; attempt < 20; attempt++) {
        const random = new RandomStream(job.seed, 'preview', i, attempt);
        const made = await synthesizeAnomaly(
          normalize(image),
          previewSide,
          Float32Array.from(mask),
          textures,
          random,
        );
        if (!made.mask.includes(1) && attempt < 19) continue;
        anomalies.push(denormalize(made.values, previewSide, previewSide).data);
        break;
      }
    }
    return { side: previewSide, foregrounds, anomalies, share: covered / Math.max(foregrounds.length, 1) };
  }

  /**
   * Takes over the images of a new training in the place of the kept one, and trains. A finished model that
   * is kept stays until the new one is complete.
   */
  begin(
    job: TrainingJob,
    images: readonly ChosenImage[],
    callbacks: TrainingCallbacks,
  ): Promise<TrainingResult> {
    return this.#longWork.run('a training', () =>
      this.#locked(async () => {
        const { signal } = this.#begin();
        const onStored = (done: number, total: number) => callbacks.onStored(done, total);
        const { record, unreadable } = await storeTraining(job, images, onStored, signal);
        if (unreadable.length)
          callbacks.onWarning(
            `${unreadable.length} of ${images.length} images are left out: ` +
              `${unreadable.slice(0, 5).join('; ')}.`,
          );
        await this.#plan(record, callbacks, signal);
        return this.#runOn(record, callbacks);
      }),
    );
  }

  /** Trains the kept training from where its checkpoints are. */
  resume(callbacks: TrainingCallbacks): Promise<TrainingResult> {
    return this.#longWork.run('a training', () =>
      this.#locked(async () => {
        this.#begin();
        const record = await keptTraining();
        if (!record) throw new Error('there is no training to run');
        return this.#runOn(record, callbacks);
      }),
    );
  }

  /**
   * Trains from where the checkpoints are, tests, and keeps the model. A lost device is opened again and the
   * training goes on from its last checkpoint. Rejects with 'Interrupted' when it is paused.
   */
  async #runOn(record: TrainingRecord, callbacks: TrainingCallbacks): Promise<TrainingResult> {
    const signal = this.#stop?.signal;
    return throughLosses(async (onEpoch) => this.#run(await this.#open(), record, callbacks, onEpoch), {
      signal,
      onLoss: () =>
        callbacks.onNotice(
          'The GPU was taken away and is opened again; the training goes on from its last checkpoint.',
        ),
    });
  }

  async #run(
    engine: Engine,
    record: TrainingRecord,
    callbacks: TrainingCallbacks,
    onEpoch: () => void,
  ): Promise<TrainingResult> {
    const { job } = record;
    const started = systemClock.now();
    const good = await load(record, 'good', job.foreground);
    const bad = await load(record, 'bad', 'none');
    const { region, ...described } = job;
    const { leaveOut = 0 } = job;
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
    const data = job.augment?.length ? augmentTraining(photographs, job.augment, job.seed) : photographs;
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
        leaveOut,
        robust: job.robust ? robustChanges : undefined,
        textures: proceduralTextures(),
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
        signal: this.#stop?.signal,
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
            onEpoch();
            // Detectors that only judge images that were left out are not on the chart.
            if (!progress.stage.startsWith('left out')) callbacks.onEpoch(progress.stage, progress.losses);
          },
        },
        afterEpoch: async (runner) => callbacks.onExamples(await show(runner, examples)),
        describe: ({ history }) => ({
          training: { ...described, weights: job.teacher, history, images: train.length },
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

  model(): Promise<File> {
    return modelFile();
  }
}
