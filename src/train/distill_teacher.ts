/**
 * Makes a small teacher from a big one by feature distillation: a student of any backbone with batch norm in
 * training mode learns the three feature levels of a frozen teacher on random crops, flips and colour changes
 * of photographs.
 */

import { RandomStream } from '../base/random.ts';
import { allImages, type ImageSource } from '../data/image_cache.ts';
import { imageInput, pixelWords } from '../data/image_input.ts';
import { gradients } from '../engine/gradients.ts';
import { ParameterSet } from '../engine/graph/parameter_set.ts';
import { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { adam, adamStep } from '../engine/ops/adam.ts';
import { conv2d } from '../engine/ops/conv2d.ts';
import { one } from '../engine/ops/reduce.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { initialize } from '../engine/runtime/initialize.ts';
import { Program, type RunInputs } from '../engine/runtime/program.ts';
import { ProgramCache } from '../engine/runtime/program_cache.ts';
import { ParameterStore } from '../engine/runtime/store.ts';
import type { Image } from '../image/image.ts';
import { resizeBilinear } from '../image/resize.ts';
import { featureDistillationLoss } from '../model/losses.ts';
import type { Losses } from '../model/method.ts';
import { Scope } from '../model/scope.ts';
import type { Teacher } from '../model/teacher.ts';
import { teacherFile } from '../weights/import.ts';
import { loadParameters, storeParameters } from '../weights/parameters.ts';
import type { SafetensorsFile, TensorToStore } from '../weights/safetensors.ts';
import type { CheckpointStorage } from './checkpoint.ts';
import { imagesDigest, type Run, tensorsDigest } from './run.ts';
import { checkLearningRate, type Progress, trainStage } from './trainer.ts';

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
  readonly imageSize: number;
  readonly batch: number;
  readonly epochs: number;
  readonly learningRate: number;
  readonly seed: number;
  readonly checkpoint?: CheckpointStorage | undefined;
  readonly resume?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

const groups = { source: 'source', learner: 'learner' } as const;

interface Recorded {
  readonly tape: Tape;
  readonly loss: Tensor;
  readonly learned: Tensor[];
}

/** Records the features of both teachers and the loss; groups `source` (fixed) and `learner`. */
export function recordTeacherDistillation(
  parameters: ParameterSet,
  o: Pick<DistillTeacherOptions, 'imageSize' | 'sourceBackbone' | 'backbone'>,
  batch: number,
): Recorded {
  const tape = new Tape(parameters);
  const images = imageInput(tape, batch, o.imageSize);
  const targets = o.sourceBackbone.features(new Scope(tape, 'source.', groups.source, false), images);
  const learner = new Scope(tape, 'learner.', groups.learner, true);
  const features = o.backbone.features(learner, images);
  // Other widths meet through a learned 1x1 projection that is thrown away afterwards.
  const learned = features.map((feature, level) => {
    const channels = (targets[level] as Tensor).shape[3] as number;
    if (feature.shape[3] === channels) return feature;
    const shape = [1, 1, feature.shape[3] as number, channels];
    const initial = { kind: 'normal', deviation: Math.sqrt(1 / (feature.shape[3] as number)) } as const;
    return conv2d(
      tape,
      feature,
      tape.parameter(`projection.${level}.weight`, shape, 'filter', groups.learner, initial),
    );
  });
  return { tape, loss: featureDistillationLoss(tape, targets, learned), learned };
}

/**
 * A random view of a photograph: crop of 25-100 % of the area, flips, brightness, contrast and saturation.
 */
export function randomView(image: Image, size: number, random: RandomStream): Image {
  const share = Math.sqrt(random.uniform(0.25, 1));
  const aspect = 2 ** random.uniform(-0.4, 0.4);
  const width = Math.max(8, Math.min(image.width, Math.round(image.width * share * Math.sqrt(aspect))));
  const height = Math.max(8, Math.min(image.height, Math.round(image.height * (share / Math.sqrt(aspect)))));
  const x = random.integer(0, image.width - width);
  const y = random.integer(0, image.height - height);
  const crop = resizeBilinear(image, size, size, { x, y, width, height });
  const horizontal = random.next() < 0.5;
  const vertical = random.next() < 0.25;
  const transpose = random.next() < 0.25;
  const brightness = random.uniform(-40, 40);
  const contrast = random.uniform(0.6, 1.4);
  const saturation = random.next() < 0.2 ? 0 : random.uniform(0.5, 1.5);
  const data = new Uint8Array(crop.data.length);
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      const [a, b] = transpose ? [column, row] : [row, column];
      const from = ((vertical ? size - 1 - a : a) * size + (horizontal ? size - 1 - b : b)) * 3;
      const [red, green, blue] = [
        crop.data[from] as number,
        crop.data[from + 1] as number,
        crop.data[from + 2] as number,
      ];
      const grey = 0.299 * red + 0.587 * green + 0.114 * blue;
      const to = (row * size + column) * 3;
      [red, green, blue].forEach((value, c) => {
        const coloured = grey + saturation * (value - grey);
        data[to + c] = Math.min(255, Math.max(0, Math.round((coloured - 128) * contrast + 128 + brightness)));
      });
    }
  return { width: size, height: size, channels: 3, data };
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
      'image size': o.imageSize,
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

/** @returns the new teacher's state dict under torchvision's names, and the losses by epoch */
export async function distillTeacher(
  o: DistillTeacherOptions,
): Promise<{ tensors: Map<string, TensorToStore>; history: Losses[] }> {
  if (!o.images.length) throw new Error('distill-teacher: there are no images to learn from');
  checkLearningRate(o.learningRate);
  const parameters = new ParameterSet();
  recordTeacherDistillation(parameters, o, o.batch);
  const store = new ParameterStore(o.engine, parameters);
  initialize(store, [groups.learner], o.seed);
  loadParameters(store, [groups.source], teacherFile(o.source, o.sourceName), o.sourceName, 'source.');
  const adamOptions = { betas: [0.9, 0.999], epsilon: 1e-8 } as const;
  const programs = new ProgramCache();
  const programFor = (batch: number) =>
    programs.get(batch, async () => {
      const { tape, loss } = recordTeacherDistillation(parameters, o, batch);
      const trained = parameters.specs.filter(
        (s) => s.group === groups.learner && !s.name.includes('running_'),
      );
      const wanted = trained.map((s) => tape.parameter(s.name, s.shape, s.layout, s.group, s.initial));
      const found = gradients(tape, new Map([[loss, one(tape)]]), wanted);
      adam(tape, groups.learner, found, tape.input('step', [2], 'dense'), adamOptions);
      return Program.compile(o.engine, tape, { outputs: { loss }, store });
    });
  try {
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
      step: async (items, epoch, step) => {
        const views = await Promise.all(
          [...items].map(async (item) => {
            const random = new RandomStream(o.seed, 'view', epoch, item);
            return randomView(await o.images.image(item), o.imageSize, random);
          }),
        );
        // Cosine decay to zero, with a short warm-up.
        const progress = (step - 1) / (o.epochs * Math.ceil(o.images.length / o.batch));
        const rate = o.learningRate * 0.5 * (1 + Math.cos(Math.PI * progress)) * Math.min(1, step / 50);
        const inputs: RunInputs = {
          pixels: pixelWords(views),
          step: adamStep(step, { ...adamOptions, learningRate: rate }),
        };
        const outputs = (await programFor(items.length)).run(inputs);
        return { losses: outputs.then(({ loss }) => ({ loss: (loss as Float32Array)[0] as number })) };
      },
    });
    const tensors = await storeParameters(store, [groups.learner], { prefix: 'learner.', type: 'F16' });
    for (const name of [...tensors.keys()]) if (name.startsWith('projection.')) tensors.delete(name);
    return { tensors, history };
  } finally {
    await programs.close();
    store.destroy();
  }
}
