/** Small trainings: a random teacher, random images, checkpoints in memory. */

import { randomWeights } from '../../bench/support/random_weights.ts';
import { RandomStream } from '../../src/base/random.ts';
import { type PageKind, ParameterSet } from '../../src/engine/graph/parameter_set.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import type { Image } from '../../src/image/image.ts';
import { backbones } from '../../src/model/backbones.ts';
import { proceduralTextures } from '../../src/synthetic/procedural_textures.ts';
import type { TrainDetectorOptions } from '../../src/train/check_options.ts';
import type { CheckpointStorage } from '../../src/train/checkpoint.ts';
import type { TrainedDetector } from '../../src/train/train_detector.ts';
import { trainStage } from '../../src/train/trainer.ts';
import type { SafetensorsFile } from '../../src/weights/safetensors.ts';

export const size = 32;

/** A teacher with random weights, as a file. */
export function randomTeacher(engine: Engine): Promise<SafetensorsFile> {
  return randomWeights(engine, backbones.resnet18);
}

export function images(count: number): Image[] {
  return Array.from({ length: count }, (_, i) => {
    const random = new RandomStream('image', i);
    return {
      width: size,
      height: size,
      channels: 3,
      data: Uint8Array.from({ length: size * size * 3 }, () => random.integer(0, 255)),
    };
  });
}

export function memory(): CheckpointStorage & { data?: Uint8Array } {
  const storage: CheckpointStorage & { data?: Uint8Array } = {
    name: 'a.checkpoint',
    advice: 'Begin anew',
    load: async () => storage.data,
    save: async (data) => {
      storage.data = data;
    },
  };
  return storage;
}

/** Two and three epochs on five images. */
export function smallTraining(
  engine: Engine,
  teacher: SafetensorsFile,
  more: Partial<TrainDetectorOptions> = {},
): TrainDetectorOptions {
  return {
    engine,
    backbone: backbones.resnet18,
    mode: 'aand',
    teacher,
    teacherName: 'random teacher',
    images: images(5),
    textures: proceduralTextures(),
    imageSize: size,
    batch: 4,
    epochs: [2, 3],
    seed: 3,
    ...more,
  };
}

export async function bits(trained: TrainedDetector): Promise<Map<string, Float32Array>> {
  const { store } = trained;
  const values = await store.read(store.set.names);
  store.destroy();
  return values;
}

/** Names of the parameters whose bytes differ; comparing 20 million values one by one would take minutes. */
export function differing(
  a: ReadonlyMap<string, Float32Array>,
  b: ReadonlyMap<string, Float32Array>,
): string[] {
  const bytes = (values: Float32Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return [...a]
    .filter(([name, values]) => !bytes(values).equals(bytes(b.get(name) ?? new Float32Array())))
    .map(([name]) => name);
}

/** A stage of one weight, whose steps write what they are told. */
export async function toldStage(
  engine: Engine,
  values: readonly (readonly [kind: PageKind, value: number] | undefined)[],
  checkpoint?: CheckpointStorage,
  more: { resume?: boolean; now?: () => number } = {},
) {
  const set = new ParameterSet();
  set.define({
    name: 'bn.running_var',
    shape: [4],
    layout: 'dense',
    group: 'g',
    initial: { kind: 'constant', value: 1 },
  });
  const store = new ParameterStore(engine, set);
  try {
    return await trainStage({
      stage: 'a stage',
      store,
      group: 'g',
      items: 1,
      batch: 1,
      epochs: values.length,
      seed: 0,
      // Checkpoints that take no time are written after each epoch.
      now: () => 0,
      checkpoint: checkpoint && { storage: checkpoint, run: { settings: {}, inputs: {} } },
      ...more,
      step: async (_, epoch) => {
        const written = values[epoch];
        if (written) store.write('bn.running_var', new Float32Array([0, 0, written[1], 0]), written[0]);
        return { losses: Promise.resolve({ loss: 1 }) };
      },
    });
  } finally {
    store.destroy();
  }
}

/** The arguments of {@link toldStage} after the engine. */
export type ToStage = Parameters<typeof toldStage> extends [Engine, ...infer Rest] ? Rest : never;
