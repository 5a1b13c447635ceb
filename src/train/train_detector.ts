/** Both stages, one after the other: from good images to a detector's parameters. */

import { RandomStream } from '../base/random.ts';
import { Tape } from '../engine/graph/tape.ts';
import { elements } from '../engine/graph/tensor.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { Program } from '../engine/runtime/program.ts';
import { ProgramCache } from '../engine/runtime/program_cache.ts';
import { ParameterStore } from '../engine/runtime/store.ts';
import type { Image, ImageInput } from '../image/image.ts';
import { normalize, stack } from '../image/normalize.ts';
import type { Backbone } from '../model/backbone.ts';
import { amplifies, detectorParameters, groups, type Mode, targets } from '../model/detector.ts';
import { initialize, loadParameters } from '../model/initialize.ts';
import { synthesizeAnomaly, type TextureSource } from '../synthetic/anomaly.ts';
import { teacherFile } from '../weights/import.ts';
import type { SafetensorsFile } from '../weights/safetensors.ts';
import { amplificationInputs, amplificationReport, recordAmplification } from './amplify.ts';
import { type CheckedOptions, checkOptions } from './check_options.ts';
import type { CheckpointStorage, Losses, RunCheckpoint } from './checkpoint.ts';
import { recordDistillation, stepInput, targetShapes } from './distill.ts';
import { imagesDigest, masksDigest, type Run, sha256, tensorsDigest } from './run.ts';
import { learningRate } from './schedule.ts';
import { StepPrograms } from './step_programs.ts';
import { type Progress, train } from './trainer.ts';

export interface TrainDetectorOptions {
  readonly engine: Engine;
  readonly backbone: Backbone;
  readonly mode: Mode;
  /** The frozen teacher: torchvision's names, with or without what training scripts put before them. */
  readonly teacher: SafetensorsFile;
  readonly teacherName: string;
  /** Good images, already resized to imageSize x imageSize. */
  readonly images: readonly ImageInput[];
  /** Their files, so that messages can name them. */
  readonly imageNames?: readonly string[];
  /**
   * 0/1 [imageSize, imageSize] of each image: where synthetic anomalies may fall; undefined for everywhere.
   */
  readonly foregrounds?: readonly Uint8Array[] | undefined;
  /** What else tells this run from others, for checkpoints: tiles, images that were held out. */
  readonly variant?: string;
  /**
   * A detector to go on from instead of fresh weights: stage I is skipped, stage II changes what it has
   * learned.
   */
  readonly start?: SafetensorsFile | undefined;
  readonly textures: TextureSource;
  readonly imageSize: number;
  readonly batch: number;
  /** Epochs of stage I and II. */
  readonly epochs: readonly [number, number];
  readonly seed: number;
  readonly baseRate?: number;
  /** Memory for cached targets in stage II; above it they are recomputed in every step. */
  readonly cacheBytes?: number;
  readonly checkpoint?:
    | { readonly stage1: CheckpointStorage; readonly stage2: CheckpointStorage }
    | undefined;
  /** What {@link describeRun} says of these options, where it is known already. */
  readonly run?: Run;
  readonly resume?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Told the losses of each stage's epochs that a checkpoint has finished. */
  readonly onResume?: ((stage: string, history: readonly Losses[]) => void) | undefined;
  /** Called after each epoch of stage II, counted from 1; the store holds its parameters. */
  readonly afterEpoch?: ((epoch: number, store: ParameterStore) => Promise<void>) | undefined;
}

export interface TrainedDetector {
  readonly store: ParameterStore;
  readonly history: { readonly stage1: Losses[]; readonly stage2: Losses[] };
}

/** Learning rate of both stages; RD4AD's constant rate in mode rd (method, 3.17). */
const defaultRate = 0.005;

/**
 * Trains a detector. The caller owns the returned store.
 *
 * @throws Error on an unusable teacher file, and on options that do not fit, with what was expected;
 *   Interrupted when the signal is raised; OutOfMemoryError; DeviceLostError or ClosedError where the engine
 *   has ended
 */
export async function trainDetector(options: TrainDetectorOptions): Promise<TrainedDetector> {
  const o = checkOptions(options);
  const store = new ParameterStore(o.engine, detectorParameters(o.backbone, o.mode));
  try {
    if (o.start) loadParameters(store, Object.values(groups), o.start, 'the detector to go on from');
    else {
      loadParameters(
        store,
        [groups.teacher],
        teacherFile(o.teacher, o.teacherName),
        o.teacherName,
        'teacher.',
      );
      initialize(store, [groups.amplification, groups.student], o.seed);
    }
    const run = o.checkpoint && (o.run ?? (await describeRun(o)));
    const checkpoint = (
      storage: CheckpointStorage | undefined,
      run: Run | undefined,
    ): RunCheckpoint | undefined =>
      storage && run && { storage, run, names: { 'the photographs': o.imageNames ?? [] } };
    const first = amplifies(o.mode) && !o.start;
    const stage1 = first ? await stageOne(o, store, checkpoint(o.checkpoint?.stage1, run)) : [];
    // What stage I made is what stage II goes on from.
    const second = run && first ? await afterStageOne(run, store) : run;
    const stage2 = await stageTwo(o, store, checkpoint(o.checkpoint?.stage2, second));
    return { store, history: { stage1, stage2 } };
  } catch (error) {
    store.destroy();
    throw error;
  }
}

/**
 * What makes this training the one that it is: settings, and digests of the images as they are trained on,
 * the foregrounds, the teacher's tensors and the textures. Paths are no part of it.
 */
export async function describeRun(o: Omit<CheckedOptions, 'engine'>): Promise<Run> {
  const set = detectorParameters(o.backbone, o.mode);
  const names = (prefix: string) =>
    set.specs.flatMap(({ name }) => (name.startsWith(prefix) ? [name.slice(prefix.length)] : []));
  return {
    settings: {
      backbone: o.backbone.name,
      mode: o.mode,
      'image size': o.imageSize,
      batch: o.batch,
      'epochs of stage I and II': o.epochs,
      'learning rate': o.baseRate ?? defaultRate,
      seed: o.seed,
      variant: o.variant ?? '',
    },
    inputs: {
      'the photographs': await imagesDigest(o.images),
      ...(o.foregrounds && { 'the foreground masks': await masksDigest(o.foregrounds) }),
      ...(o.start
        ? { 'the detector to go on from': await tensorsDigest(o.start.tensors, names('')) }
        : {
            'the teacher': await tensorsDigest(
              teacherFile(o.teacher, o.teacherName).tensors,
              names('teacher.'),
            ),
          }),
      ...(amplifies(o.mode) && !o.start && { 'the textures': { digest: await sha256(o.textures.digest) } }),
    },
  };
}

async function afterStageOne(run: Run, store: ParameterStore): Promise<Run> {
  const specs = store.set.specs.filter(({ group }) => group === groups.amplification);
  const values = await store.read(specs.map(({ name }) => name));
  const tensors = new Map(
    specs.map(({ name, shape }) => [name, { shape, values: values.get(name) as Float32Array }]),
  );
  return {
    ...run,
    inputs: { ...run.inputs, 'the result of stage I': await tensorsDigest(tensors, [...tensors.keys()]) },
  };
}

async function stageOne(
  o: CheckedOptions,
  store: ParameterStore,
  checkpoint: RunCheckpoint | undefined,
): Promise<Losses[]> {
  const programs = new StepPrograms(o.engine, store, groups.amplification, (tape, batch) =>
    recordAmplification(tape, o.backbone, o.imageSize, batch),
  );
  try {
    return await train({
      stage: 'stage I',
      store,
      group: groups.amplification,
      items: o.images.length,
      batch: o.batch,
      epochs: o.epochs[0],
      seed: o.seed,
      checkpoint,
      resume: o.resume ?? false,
      signal: o.signal,
      onProgress: o.onProgress,
      onResume: o.onResume,
      step: async (items, epoch, step) => {
        const samples = await Promise.all(
          [...items].map((item) =>
            synthesizeAnomaly(
              normalize(o.images[item] as Image),
              o.imageSize,
              o.foregrounds?.[item],
              o.textures,
              new RandomStream(o.seed, 'synthetic', epoch, item),
            ),
          ),
        );
        const inputs = amplificationInputs({
          images: stack(samples.map((sample) => sample.values)),
          masks: stack(samples.map((sample) => sample.mask)),
          foregrounds:
            o.foregrounds && stack([...items].map((item) => Float32Array.from(o.foregrounds?.[item] ?? []))),
          batch: items.length,
          size: o.imageSize,
          step,
          learningRate: learningRate(o.baseRate ?? defaultRate, epoch, o.epochs[0]),
          random: new RandomStream(o.seed, 'rows', step),
        });
        const { outputs } = await programs.submit(items.length, inputs);
        return { losses: outputs.then(amplificationReport) };
      },
    });
  } finally {
    await programs.destroy();
  }
}

async function stageTwo(
  o: CheckedOptions,
  store: ParameterStore,
  checkpoint: RunCheckpoint | undefined,
): Promise<Losses[]> {
  const perImage = targetShapes(o.backbone, o.imageSize).reduce((sum, shape) => sum + 4 * elements(shape), 0);
  const cached = perImage * o.images.length <= (o.cacheBytes ?? 2 ** 31);
  const cache = cached ? new TargetCache(o, store) : undefined;
  const programs = new StepPrograms(o.engine, store, groups.student, (tape, batch) =>
    recordDistillation(tape, { backbone: o.backbone, mode: o.mode, size: o.imageSize, batch, cached }),
  );
  try {
    return await train({
      stage: 'stage II',
      afterEpoch: o.afterEpoch && ((epoch) => o.afterEpoch?.(epoch, store) ?? Promise.resolve()),
      store,
      group: groups.student,
      items: o.images.length,
      batch: o.batch,
      epochs: o.epochs[1],
      seed: o.seed,
      checkpoint,
      resume: o.resume ?? false,
      signal: o.signal,
      onProgress: o.onProgress,
      onResume: o.onResume,
      step: async (items, epoch, step) => {
        const base = o.baseRate ?? defaultRate;
        const rate = o.mode === 'rd' ? base : learningRate(base, epoch, o.epochs[1]);
        const features = cache
          ? await cache.batch(items)
          : { images: stack([...items].map((item) => normalize(o.images[item] as Image))) };
        const { outputs } = await programs.submit(items.length, { ...features, ...stepInput(step, rate) });
        return { losses: outputs.then(({ loss }) => ({ loss: (loss as Float32Array)[0] as number })) };
      },
    });
  } finally {
    await cache?.destroy();
    await programs.destroy();
  }
}

/** Targets of good images, computed once per image: stage II has no augmentation (method, 4.5). */
class TargetCache {
  readonly #options: CheckedOptions;
  readonly #store: ParameterStore;
  readonly #targets = new Map<number, Float32Array[]>();
  readonly #programs = new ProgramCache();

  constructor(options: CheckedOptions, store: ParameterStore) {
    this.#options = options;
    this.#store = store;
  }

  #program(batch: number): Promise<Program> {
    return this.#programs.get(batch, () => {
      const { backbone, imageSize, mode, engine } = this.#options;
      const tape = new Tape(this.#store.set);
      const images = tape.input('images', [batch, imageSize, imageSize, 3], 'channels');
      const { amplified } = targets(tape, images, backbone, mode);
      const outputs = Object.fromEntries(amplified.map((tensor, level) => [`target${level}`, tensor]));
      return Program.compile(engine, tape, { outputs, store: this.#store });
    });
  }

  async batch(items: Uint32Array): Promise<Record<string, Float32Array>> {
    const missing = [...items].filter((item) => !this.#targets.has(item));
    if (missing.length) {
      const images = stack(missing.map((item) => normalize(this.#options.images[item] as Image)));
      const result = await (await this.#program(missing.length)).run({ images });
      missing.forEach((item, i) => {
        const parts = [0, 1, 2].map((level) => {
          const all = result[`target${level}`] as Float32Array;
          const size = all.length / missing.length;
          return all.slice(i * size, (i + 1) * size);
        });
        this.#targets.set(item, parts);
      });
    }
    const inputs: Record<string, Float32Array> = {};
    for (const level of [0, 1, 2])
      inputs[`target${level}`] = stack(
        [...items].map((item) => (this.#targets.get(item) as Float32Array[])[level] as Float32Array),
      );
    return inputs;
  }

  destroy(): Promise<void> {
    return this.#programs.close();
  }
}
