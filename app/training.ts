/**
 * Training in the worker: images, checkpoints and the result are kept on this device, so a closed tab loses
 * one epoch.
 */
import { decodeImage } from '#platform';
import { DeviceLostError } from '../src/base/errors.ts';
import { RandomStream } from '../src/base/random.ts';
import { foreground, foregroundRuleFor, parseForeground } from '../src/data/foreground.ts';
import { trainingSetWarnings } from '../src/data/training_warnings.ts';
import { writeDetector } from '../src/detector/file.ts';
import { MapRunner } from '../src/detector/map_runner.ts';
import { newSettings } from '../src/detector/settings.ts';
import type { Engine } from '../src/engine/runtime/engine.ts';
import type { ParameterStore } from '../src/engine/runtime/store.ts';
import { TestSet } from '../src/eval/evaluate.ts';
import { calibrate } from '../src/eval/thresholds.ts';
import type { Image } from '../src/image/image.ts';
import { denormalize, normalize } from '../src/image/normalize.ts';
import { resizeBicubic } from '../src/image/resize.ts';
import { backboneNamed } from '../src/model/backbones.ts';
import { synthesizeAnomaly } from '../src/synthetic/anomaly.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import { trainDetector } from '../src/train/train_detector.ts';
import { adoptOlder } from './adopt.ts';
import { forecastJob } from './forecast.ts';
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
  Kept,
  Preview,
  TeacherFacts,
  TrainingCallbacks,
  TrainingJob,
  TrainingResult,
} from './types.ts';

const heldOutShare = 0.1;
const heldOutLeast = 10;
const shownExamples = 4;
const previewSide = 96;
const previewCount = 8;
// A driver that was reset needs a moment; one that is lost again and again will not come back.
const restMilliseconds = 1500;
const mostLosses = 3;

interface Loaded {
  readonly name: string;
  readonly image: Image;
  readonly mask: Uint8Array;
}

/** A rule by its name; 'auto' means no foreground here, for nobody knows the product. */
function ruleOf(text: string) {
  return parseForeground(text) ?? foregroundRuleFor('folder', '');
}

async function load(record: TrainingRecord, kind: 'good' | 'bad', rule: string): Promise<Loaded[]> {
  const { imageSize: size } = record.job;
  const loaded: Loaded[] = [];
  for (const [i, name] of record[kind].entries()) {
    const image = await decodeImage(await imageBytes(record, kind, i), name);
    loaded.push({
      name,
      image: resizeBicubic(image, size, size),
      mask: foreground(image, ruleOf(rule), size),
    });
  }
  return loaded;
}

export class Trainer {
  readonly #open: () => Promise<Engine>;
  readonly #longWork: LongWork;
  #stop: AbortController | undefined;
  #adopted: Promise<void> | undefined;
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

  async forecast(job: TrainingJob, images: number): Promise<ForecastFacts> {
    return forecastJob(await this.#open(), job, images);
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
      const mask = foreground(native, ruleOf(job.foreground), previewSide);
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
            `${unreadable.length} of ${images.length} images are left out: ${unreadable.slice(0, 5).join('; ')}.`,
          );
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
    let epochs = 0;
    let losses = 0;
    for (;;) {
      const before = epochs;
      try {
        return await this.#run(await this.#open(), record, callbacks, () => epochs++);
      } catch (error) {
        if (!(error instanceof DeviceLostError) || this.#stop?.signal.aborted) throw error;
        losses = epochs > before ? 1 : losses + 1;
        if (losses >= mostLosses) throw error;
        callbacks.onNotice(
          'The GPU was taken away and is opened again; the training goes on from its last checkpoint.',
        );
        await new Promise((rested) => setTimeout(rested, restMilliseconds));
      }
    }
  }

  async #run(
    engine: Engine,
    record: TrainingRecord,
    callbacks: TrainingCallbacks,
    onEpoch: () => void,
  ): Promise<TrainingResult> {
    const { job } = record;
    const backbone = backboneNamed(job.backbone);
    const started = performance.now();
    const good = await load(record, 'good', job.foreground);
    const bad = await load(record, 'bad', 'none');
    const heldOutCount = good.length >= heldOutLeast ? Math.round(heldOutShare * good.length) : 0;
    const drawn = new Set(new RandomStream(job.seed, 'hold-out').sample(good.length, heldOutCount));
    const train = good.filter((_, i) => !drawn.has(i));
    const heldOut = good.filter((_, i) => drawn.has(i));
    const teacher = await readTeacher({ backbone: job.backbone, source: job.teacher });
    const images = train.map(({ image }) => image);
    const imageNames = train.map(({ name }) => name);
    const warnings = trainingSetWarnings(images, imageNames);
    if (warnings.length) callbacks.onWarning(`${warnings.join('. ')}.`);
    const examples = [...bad, ...heldOut, ...train].slice(0, shownExamples);
    let runner: MapRunner | undefined;
    const { store, history } = await trainDetector({
      engine,
      backbone,
      mode: job.mode,
      teacher,
      teacherName: job.teacher,
      images,
      imageNames,
      foregrounds: job.foreground === 'none' ? undefined : train.map(({ mask }) => mask),
      textures: proceduralTextures(),
      imageSize: job.imageSize,
      batch: job.batch,
      epochs: job.epochs,
      seed: job.seed,
      checkpoint: {
        stage1: checkpoint(record, 'stage1.checkpoint'),
        stage2: checkpoint(record, 'stage2.checkpoint'),
      },
      resume: true,
      signal: this.#stop?.signal,
      onResume: (stage, history) => callbacks.onResume(stage, history),
      onProgress: (progress) => {
        callbacks.onProgress(progress);
        if (progress.images < progress.total) return;
        onEpoch();
        callbacks.onEpoch(progress.stage, progress.losses);
      },
      afterEpoch: async (_, store) => {
        runner ??= new MapRunner(engine, store, backbone, job.mode, job.imageSize);
        await runner.refresh();
        callbacks.onExamples(await this.#show(runner, examples));
      },
    });
    runner ??= new MapRunner(engine, store, backbone, job.mode, job.imageSize);
    try {
      await runner.refresh();
      const seconds = (performance.now() - started) / 1000;
      return await this.#finish({ record, runner, store, history, bad, heldOut, train, seconds });
    } finally {
      await runner.destroy();
      store.destroy();
    }
  }

  async #show(runner: MapRunner, examples: readonly Loaded[]): Promise<Example[]> {
    const shown: Example[] = [];
    for (const { name, image } of examples) {
      const [result] = await runner.run([image]);
      if (result)
        shown.push({ name, pixels: image.data, side: image.width, score: result.score, map: result.map });
    }
    return shown;
  }

  async #finish(o: {
    record: TrainingRecord;
    runner: MapRunner;
    store: ParameterStore;
    history: unknown;
    bad: readonly Loaded[];
    heldOut: readonly Loaded[];
    train: readonly Loaded[];
    seconds: number;
  }): Promise<TrainingResult> {
    const { record, runner, store } = o;
    const { job } = record;
    const results = new TestSet();
    // Held-out images where there are some: what was trained on looks better than it should.
    const good = o.heldOut.length ? o.heldOut : o.train;
    for (const [defect, list] of [
      ['good', good],
      ['bad', o.bad],
    ] as const)
      for (const { name, image } of list) {
        const [result] = await runner.run([image]);
        if (result) await results.add({ path: name, stem: name, defect }, result, undefined);
      }
    const { image, imageRange, pixelRange } = await results.evaluate();
    const source = o.heldOut.length ? 'held-out' : 'train';
    const calibrations = calibrate({
      rule: image ? { kind: 'f1' } : { kind: 'max' },
      image,
      pixel: null,
      good: results.images.filter(({ anomalous }) => !anomalous).map(({ score }) => score),
      goodSource: o.heldOut.length ? 'held-out good images' : 'good training images',
      imageRange,
      pixelRange,
    });
    const settings = newSettings({
      backbone: job.backbone,
      mode: job.mode,
      imageSize: job.imageSize,
      ...calibrations,
      calibrationScores: results.images.map(({ score, anomalous, path }) => ({
        score,
        anomalous,
        path,
        source,
      })),
      training: { ...job, weights: job.teacher, history: o.history, images: o.train.length },
      version: 'browser',
    });
    await results.close();
    await storeModel(record, await writeDetector(store, settings));
    return {
      settings,
      auroc: image?.auroc ?? null,
      f1: image?.f1Max ?? null,
      trainedOn: o.train.length,
      heldOut: o.heldOut.length,
      seconds: o.seconds,
    };
  }

  model(): Promise<File> {
    return modelFile();
  }
}
