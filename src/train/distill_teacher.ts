/**
 * Makes a small teacher from a big one by feature distillation: a student of any backbone with batch norm in
 * training mode learns the three feature levels of a frozen teacher on random crops, flips and colour changes
 * of photographs.
 */

import { RandomStream } from '../base/random.ts';
import { allImages, type ImageSource } from '../data/image_cache.ts';
import { pixelWords } from '../data/image_input.ts';
import { ParameterSet } from '../engine/graph/parameter_set.ts';
import { adamStep } from '../engine/ops/adam.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { initialize } from '../engine/runtime/initialize.ts';
import { Program, type RunInputs } from '../engine/runtime/program.ts';
import { ProgramCache } from '../engine/runtime/program_cache.ts';
import { ParameterStore } from '../engine/runtime/store.ts';
import type { Image } from '../image/image.ts';
import type { Losses } from '../model/method.ts';
import type { Teacher } from '../model/teacher.ts';
import { teacherFile } from '../weights/import.ts';
import { loadParameters, storeParameters } from '../weights/parameters.ts';
import type { SafetensorsFile, TensorToStore } from '../weights/safetensors.ts';
import type { CheckpointStorage } from './checkpoint.ts';
import {
  type Batches,
  compareTeachers,
  estimateBatchNorms,
  type Measured,
  measureSource,
  type TeacherDistance,
} from './distillation_measures.ts';
import {
  distillationGroups as groups,
  isScaffold,
  recordBlockDistillation,
  recordTeacherDistillation,
} from './record_distillation.ts';
import { imagesDigest, type Run, tensorsDigest } from './run.ts';
import { recordStep } from './step_programs.ts';
import { checkLearningRate, type Progress, trainStage } from './trainer.ts';
import { blend, randomView } from './views.ts';

export interface DistillTeacherOptions {
  readonly engine: Engine;
  /** State dict of the big teacher and its backbone. */
  readonly source: SafetensorsFile;
  readonly sourceName: string;
  readonly sourceBackbone: Teacher;
  readonly backbone: Teacher;
  /** Photographs of any size; they need not all be in memory. */
  readonly images: ImageSource;
  /** Their files, so that messages can name them. */
  readonly imageNames?: readonly string[];
  /**
   * Sides of the views, in pixels. Each has an equal part of the epochs, in this order: small ones first are
   * many views in little time, large ones last are what detectors see.
   */
  readonly imageSizes: readonly number[];
  /** Share of the views that are two photographs laid over each other, 0 to 1. */
  readonly mixed?: number;
  /**
   * Share of the epochs, the first ones, in which every block learns by itself from its counterpart, 0 to 1;
   * for networks with as many blocks of the same strides, at most as wide. Default 0.
   */
  readonly blockwise?: number;
  readonly batch: number;
  readonly epochs: number;
  readonly learningRate: number;
  readonly seed: number;
  /** Photographs that are not learned from: how far the new teacher is from the big one on them. */
  readonly check?: ImageSource | undefined;
  readonly checkpoint?: CheckpointStorage | undefined;
  readonly resume?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

async function describeRun(o: DistillTeacherOptions, parameters: ParameterSet): Promise<Run> {
  const prefix = 'source.';
  const names = parameters.specs.flatMap(({ name }) =>
    name.startsWith(prefix) ? [name.slice(prefix.length)] : [],
  );
  return {
    settings: {
      'backbone of the big teacher': o.sourceBackbone.name,
      backbone: o.backbone.name,
      'image sizes': o.imageSizes,
      'mixed share': o.mixed ?? 0,
      ...(o.blockwise && { 'share block by block': o.blockwise }),
      batch: o.batch,
      epochs: o.epochs,
      'learning rate': o.learningRate,
      seed: o.seed,
    },
    inputs: {
      'the photographs': await imagesDigest(allImages(o.images)),
      'the big teacher': await tensorsDigest(o.source.tensors, names),
    },
  };
}

/** The batch that batch norms and the source's features are measured with: at most so many. */
const measuredBatches = 64;

const adamOptions = { betas: [0.9, 0.999], epsilon: 1e-8 } as const;

/** Steps until the full learning rate. */
function warmUpSteps(steps: number): number {
  return Math.min(500, Math.max(50, Math.round(steps * 0.03)));
}

/** Which of the sizes an epoch, counted from 0, is seen at, and whether blocks learn by themselves in it. */
function phaseOf(
  { imageSizes, epochs, blockwise = 0 }: DistillTeacherOptions,
  epoch: number,
): { readonly size: number; readonly blocks: boolean } {
  const size = imageSizes[Math.floor((epoch * imageSizes.length) / epochs)] as number;
  return { size, blocks: epoch < blockwise * epochs };
}

async function viewOf(o: DistillTeacherOptions, size: number, epoch: number, item: number): Promise<Image> {
  const random = new RandomStream(o.seed, 'view', epoch, item);
  const view = randomView(await o.images.image(item), size, random);
  if (!(random.next() < (o.mixed ?? 0))) return view;
  const other = await o.images.image(random.integer(0, o.images.length - 1));
  return blend(view, randomView(other, size, random), random.uniform(0.2, 0.8));
}

/** Full batches of views at the last size, drawn as those of an epoch beyond the last are. */
async function* moreViews(o: DistillTeacherOptions, size: number, batch: number, epoch: number): Batches {
  const order = new RandomStream(o.seed, 'measure', epoch).sample(o.images.length, o.images.length);
  const count = Math.min(measuredBatches, Math.floor(order.length / batch));
  for (let i = 0; i < count; i++)
    yield Promise.all(
      [...order.subarray(i * batch, (i + 1) * batch)].map((item) => viewOf(o, size, epoch, item)),
    );
}

/** What {@link distillTeacher} makes. */
export interface DistilledTeacher {
  /** The new teacher's state dict under torchvision's names, in 16 bits. */
  readonly tensors: Map<string, TensorToStore>;
  /** Losses by epoch. */
  readonly history: Losses[];
  /** On the photographs of `check`. */
  readonly distance: TeacherDistance | undefined;
}

/**
 * @throws Error where there is nothing to learn from, on a rate or sizes that cannot be, and what
 *   `trainStage` throws
 */
export async function distillTeacher(o: DistillTeacherOptions): Promise<DistilledTeacher> {
  if (!o.images.length) throw new Error('distill-teacher: there are no images to learn from');
  if (!o.imageSizes.length || o.imageSizes.length > o.epochs)
    throw new Error(
      `distill-teacher: ${o.imageSizes.length} image sizes for ${o.epochs} epochs; each needs an epoch`,
    );
  checkLearningRate(o.learningRate);
  if (o.blockwise !== undefined && !(o.blockwise >= 0 && o.blockwise <= 1))
    throw new Error(
      `distill-teacher: the share of the epochs block by block is ${o.blockwise}, expected 0 to 1`,
    );
  const lastSize = o.imageSizes.at(-1) as number;
  const shape = (imageSize: number) => ({ ...o, imageSize });
  const parameters = new ParameterSet();
  recordTeacherDistillation(parameters, shape(lastSize), o.batch);
  if (o.blockwise) recordBlockDistillation(parameters, shape(lastSize), o.batch);
  const store = new ParameterStore(o.engine, parameters);
  initialize(store, [groups.learner], o.seed);
  loadParameters(store, [groups.source], teacherFile(o.source, o.sourceName), o.sourceName, 'source.');
  const programs = new ProgramCache<string>();
  const programFor = (batch: number, { size, blocks }: ReturnType<typeof phaseOf>) =>
    programs.get(`${batch} ${size} ${blocks}`, async () => {
      const record = blocks ? recordBlockDistillation : recordTeacherDistillation;
      const { tape, loss, levels } = record(parameters, shape(size), batch);
      recordStep(tape, loss, groups.learner, adamOptions);
      const outputs = Object.fromEntries(levels.map(({ cosine }, i) => [`layer${i + 1}`, cosine]));
      return Program.compile(o.engine, tape, { outputs: { loss, ...outputs }, store });
    });
  const measured: Measured = { engine: o.engine, parameters, store, shape: shape(lastSize) };
  const measuredBatch = Math.min(o.batch, o.images.length);
  const steps = o.epochs * Math.ceil(o.images.length / o.batch);
  try {
    await measureSource(measured, moreViews(o, lastSize, measuredBatch, o.epochs), measuredBatch);
    const history = await trainStage({
      ...o,
      stage: 'distill',
      store,
      group: groups.learner,
      items: o.images.length,
      checkpoint: o.checkpoint && {
        storage: o.checkpoint,
        run: await describeRun(o, parameters),
        names: { 'the photographs': o.imageNames ?? [] },
      },
      cost: (epoch) => phaseOf(o, epoch).size ** 2,
      step: async (items, epoch, step) => {
        const phase = phaseOf(o, epoch);
        const views = await Promise.all([...items].map((item) => viewOf(o, phase.size, epoch, item)));
        // Cosine decay to zero, with a short warm-up.
        const rate =
          o.learningRate *
          0.5 *
          (1 + Math.cos((Math.PI * (step - 1)) / steps)) *
          Math.min(1, step / warmUpSteps(steps));
        const inputs: RunInputs = {
          pixels: pixelWords(views),
          step: adamStep(step, { ...adamOptions, learningRate: rate }),
        };
        const outputs = (await programFor(items.length, phase)).run(inputs);
        return {
          losses: outputs.then((values) =>
            Object.fromEntries(
              Object.entries(values).map(([name, value]) => [name, (value as Float32Array)[0] as number]),
            ),
          ),
        };
      },
    });
    await estimateBatchNorms(measured, moreViews(o, lastSize, measuredBatch, o.epochs + 1), measuredBatch);
    const distance = o.check?.length ? await compareTeachers(measured, o.check, o.batch) : undefined;
    const tensors = await storeParameters(store, [groups.learner], { prefix: 'learner.', type: 'F16' });
    for (const name of [...tensors.keys()]) if (isScaffold(name)) tensors.delete(name);
    return { tensors, history, distance };
  } finally {
    await programs.close();
    store.destroy();
  }
}
