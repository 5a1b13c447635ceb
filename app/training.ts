/**
 * Training in the worker: images, checkpoints and the result are kept on this device, so a closed tab loses
 * what came after the last checkpoint: an epoch, or some seconds.
 */
import type { Engine } from '../src/engine/runtime/engine.ts';
import { methodNamed } from '../src/model/methods.ts';
import { throughLosses } from '../src/session/device_losses.ts';
import type { TrainingPart } from '../src/session/measured_job.ts';
import { adoptOlder } from './adopt.ts';
import { forecastJob, measureJob } from './forecast.ts';
import {
  discardModel,
  discardTraining,
  imageBytes,
  keptModel,
  keptTraining,
  modelFile,
  storeTraining,
  type TrainingRecord,
} from './kept.ts';
import type { LongWork } from './long_work.ts';
import { runTraining, showExamples, shownExamples } from './run_training.ts';
import { addTeacher, teachers } from './teachers.ts';
import { isHeldElsewhere, withTrainingLock } from './training_lock.ts';
import { previewOf } from './training_preview.ts';
import type {
  ChosenImage,
  ForecastFacts,
  ForecastImages,
  Kept,
  Preview,
  TeacherFacts,
  TrainingCallbacks,
  TrainingJob,
  TrainingResult,
} from './types.ts';

/** A training is tried out first where it has so many epochs: shorter ones are over sooner than a try. */
const triedEpochs = 20;
/** One without epochs is tried out first where it has so many good photographs. */
const triedPhotographs = 32;
/** Photographs whose reading is timed. */
const timedImages = 3;

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
        await showExamples(runner, examples);
      },
    });
    this.#measured = { of, parts };
    return parts;
  }

  /** Tries out a training that is about to begin, where that is worth its time. */
  async #plan(record: TrainingRecord, callbacks: TrainingCallbacks, signal: AbortSignal): Promise<void> {
    const { job, good, bad } = record;
    const short =
      methodNamed(job.mode).learns === 'memory'
        ? good.length < triedPhotographs
        : job.epochs[0] + job.epochs[1] < triedEpochs;
    if (short) return;
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

  preview(job: TrainingJob, files: readonly { name: string; bytes: ArrayBuffer }[]): Promise<Preview> {
    return previewOf(job, files);
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
   * Runs a training to its end. A lost device is opened again and the training goes on from its last
   * checkpoint. Rejects with 'Interrupted' when it is paused.
   */
  async #runOn(record: TrainingRecord, callbacks: TrainingCallbacks): Promise<TrainingResult> {
    const signal = this.#stop?.signal;
    return throughLosses(
      async (onEpoch) => runTraining(await this.#open(), record, callbacks, { signal, onEpoch }),
      {
        signal,
        onLoss: () =>
          callbacks.onNotice(
            'The GPU was taken away and is opened again; the training goes on from its last checkpoint.',
          ),
      },
    );
  }

  model(): Promise<File> {
    return modelFile();
  }
}
