/** Checkpoints belong to exactly one run and are checked whole; numbers that run away end a training. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CheckpointError } from '../src/base/errors.ts';
import { imageSource } from '../src/data/image_cache.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import type { Image } from '../src/image/image.ts';
import { backbones } from '../src/model/backbones.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import type { TrainDetectorOptions } from '../src/train/check_options.ts';
import type { CheckpointStorage } from '../src/train/checkpoint.ts';
import { describeRun } from '../src/train/describe_run.ts';
import { type DistillTeacherOptions, distillTeacher } from '../src/train/distill_teacher.ts';
import { differences } from '../src/train/run.ts';
import { trainDetector } from '../src/train/train_detector.ts';
import { writeWithDigest } from '../src/weights/digest.ts';
import {
  readSafetensors,
  type SafetensorsFile,
  storable,
  type TensorToStore,
  writeSafetensors,
} from '../src/weights/safetensors.ts';
import {
  bits,
  differing,
  images,
  memory,
  randomTeacher,
  size,
  smallTraining,
  type ToStage,
  toldStage,
} from './support/trainings.ts';

let engine: Engine;
let teacher: SafetensorsFile;
const options = (more: Partial<TrainDetectorOptions> = {}) => smallTraining(engine, teacher, more);

beforeAll(async () => {
  engine = await Engine.open();
  teacher = await randomTeacher(engine);
});
afterAll(() => engine.close());

const stage = (...more: ToStage) => toldStage(engine, ...more);

describe('checkpoints', () => {
  const stages = { stage1: memory(), stage2: memory() };
  const base: Partial<TrainDetectorOptions> = {
    epochs: [1, 1],
    imageNames: ['a.png', 'b.png', 'c.png', 'd.png', 'e.png'],
  };
  const resumed = (more: Partial<TrainDetectorOptions> = {}) =>
    trainDetector(options({ ...base, checkpoint: stages, resume: true, ...more }));
  let trained: Map<string, Float32Array>;

  beforeAll(async () => {
    trained = await bits(await trainDetector(options({ ...base, checkpoint: stages })));
  }, 300_000);

  test('a finished run gives its parameters back; what names it changes nothing', async () => {
    const again = await resumed({
      teacherName: 'the same file elsewhere',
      imageNames: ['x', 'x', 'x', 'x', 'x'],
    });
    expect(again.history.stage1).toHaveLength(1);
    expect(differing(trained, await bits(again))).toEqual([]);
  });

  /** The teacher with one bit of one tensor changed. */
  function otherTeacher(): SafetensorsFile {
    const tensors = new Map(
      [...teacher.tensors].map(([name, t]) => [name, { shape: t.shape, values: t.values.slice() }]),
    );
    const values = tensors.get('layer3.1.conv2.weight')?.values as Float32Array;
    new Uint32Array(values.buffer)[77] = (new Uint32Array(values.buffer)[77] as number) ^ 1;
    return readSafetensors(writeSafetensors(tensors));
  }
  const changedImages = images(5);
  changedImages[3] = { ...(changedImages[3] as Image), data: (changedImages[3] as Image).data.with(11, 0) };
  const full = () => Array.from({ length: 5 }, () => new Uint8Array(size * size).fill(1));

  test.each<[string, () => Partial<TrainDetectorOptions>, RegExp]>([
    [
      'one pixel',
      () => ({ images: changedImages }),
      /the photographs are not those of the checkpoint: 1 of 5 changed, the first is d\.png/,
    ],
    [
      'the order',
      () => ({ images: images(5).reverse() }),
      /the photographs are not those of the checkpoint: they are the same in another order/,
    ],
    [
      'the number of images',
      () => ({ images: images(6), imageNames: [] }),
      /the photographs .*: there were 5, now there are 6/,
    ],
    [
      'one bit of the teacher',
      () => ({ teacher: otherTeacher() }),
      /the teacher is not that of the checkpoint/,
    ],
    [
      'the textures',
      () => ({ textures: { ...proceduralTextures(), digest: 'other' } }),
      /the textures are not those of the checkpoint/,
    ],
    [
      'masks where there were none',
      () => ({ foregrounds: full() }),
      /the checkpoint knows nothing of the foreground masks/,
    ],
    [
      'the textures of another list',
      () => ({ textures: { ...proceduralTextures(), digest: 'procedural/2' } }),
      /the textures/,
    ],
    ['the learning rate', () => ({ baseRate: 0.004 }), /learning rate was 0\.005 and is now 0\.004/],
    ['the epochs', () => ({ epochs: [1, 2] }), /epochs of stage I and II was \[1,1\] and is now \[1,2\]/],
    ['the batch', () => ({ batch: 2 }), /batch was 4 and is now 2/],
    ['the seed', () => ({ seed: 4 }), /seed was 3 and is now 4/],
    ['the variant', () => ({ variant: 'tiles' }), /variant was "" and is now "tiles"/],
    ['the mode', () => ({ mode: 'raa' }), /mode was "aand" and is now "raa"/],
  ])('of another run is told: %s', async (_, change, message) => {
    const described = (more: Partial<TrainDetectorOptions>) =>
      describeRun(options({ ...base, ...more }) as Parameters<typeof describeRun>[0]);
    const changed = change();
    const names = { 'the photographs': changed.imageNames ?? base.imageNames ?? [] };
    const found = differences(await described({}), await described(changed), 'the checkpoint', names);
    expect(found.join('; ')).toMatch(message);
    expect(differences(await described({}), await described({}), 'the checkpoint')).toEqual([]);
  });

  test('foreground masks that changed are named', async () => {
    const described = (foregrounds: Uint8Array[]) =>
      describeRun(options({ ...base, foregrounds }) as Parameters<typeof describeRun>[0]);
    const other = full();
    other[1]?.fill(0, 0, 8);
    expect(differences(await described(full()), await described(other), 'the checkpoint')).toEqual([
      'the foreground masks are not those of the checkpoint: 1 of 5 changed, the first is number 2',
    ]);
  });

  test('of another run is refused, with what differs and what to do', async () => {
    const stopped = resumed({ images: changedImages, batch: 2 });
    await expect(stopped).rejects.toThrow(CheckpointError);
    await expect(stopped).rejects.toThrow(
      'a.checkpoint cannot be continued: the checkpoint was made with other settings or inputs: batch was 4 and is now 2; ' +
        'the photographs are not those of the checkpoint: 1 of 5 changed, the first is d.png. ' +
        'Give what it was made with. Begin anew',
    );
  });

  /** A checkpoint with something changed and a digest that fits, as somebody could make who wants to. */
  async function forged(
    source: { data?: Uint8Array },
    change: (tensors: Map<string, TensorToStore>, metadata: Record<string, string>) => void,
  ): Promise<CheckpointStorage> {
    const file = readSafetensors(source.data as Uint8Array);
    const tensors = new Map<string, TensorToStore>(
      [...file.tensors].map(([name, { shape, values }]) => [name, { shape, values }]),
    );
    const metadata = { ...file.metadata };
    change(tensors, metadata);
    const storage = memory();
    storage.data = await writeWithDigest(tensors, metadata);
    return storage;
  }
  const state = (change: Record<string, unknown>) => (_: unknown, metadata: Record<string, string>) => {
    metadata.state = JSON.stringify({ ...JSON.parse(metadata.state ?? ''), ...change });
  };
  const set = (key: string, value: string) => (_: unknown, metadata: Record<string, string>) => {
    metadata[key] = value;
  };
  const firstOf = (tensors: Map<string, TensorToStore>, kind: string) =>
    [...tensors.keys()].find((name) => name.startsWith(kind)) as string;
  const poison = (kind: string, value: number) => (tensors: Map<string, TensorToStore>) => {
    const name = firstOf(tensors, kind);
    const { shape, values } = tensors.get(name) as TensorToStore;
    tensors.set(name, { shape, values: values.with(3, value) });
  };

  test.each<[string, Parameters<typeof forged>[1], RegExp]>([
    ['epoch 1e9', state({ epoch: 1e9 }), /state is not valid: epoch: /],
    ['epoch 0.5', state({ epoch: 0.5 }), /state is not valid: epoch: /],
    ['epoch as text', state({ epoch: '1' }), /state is not valid: epoch: /],
    ['step -1', state({ step: -1 }), /the number of steps is not that of its epochs/],
    ['a history of text', state({ history: ['low'] }), /state is not valid: history\.0/],
    [
      'a loss of null',
      state({ history: [{ loss: 1 }, { loss: null }] }),
      /state is not valid: history\.1\.loss/,
    ],
    ['a shorter history', state({ history: [{ loss: 1 }] }), /the losses are not those of its epochs/],
    ['another field', state({ more: 1 }), /state is not valid/],
    ['no state', (_, metadata) => delete metadata.state, /state is not valid/],
    ['state that is no JSON', set('state', '{'), /JSON/],
    ['no run', (_, metadata) => delete metadata.run, /cannot be continued/],
    ['another stage', set('stage', 'stage II'), /it is a checkpoint of stage II, not of a stage/],
    [
      'another version',
      set('format', 'aand-webgpu-checkpoint/9'),
      /another version \(format 'aand-webgpu-checkpoint\/9'/,
    ],
    [
      'a missing tensor',
      (tensors) => tensors.delete(firstOf(tensors, 'second_moment')),
      /1 tensors are missing, the first is 'second_moment\//,
    ],
    [
      'a tensor too many',
      (tensors) => tensors.set('parameter/x', { shape: [1], values: new Float32Array(1) }),
      /1 tensors do not belong there, the first is 'parameter\/x'/,
    ],
    [
      'a moment as __proto__',
      (tensors) => tensors.set('__proto__/x', { shape: [1], values: new Float32Array(1) }),
      /do not belong there/,
    ],
    [
      'another shape',
      (tensors) => {
        const name = firstOf(tensors, 'parameter');
        const { values } = tensors.get(name) as TensorToStore;
        tensors.set(name, { shape: [2, 2], values });
      },
      /tensor 'parameter\/bn\.running_var' is F32 \[2,2\], needed is F32 \[4\]/,
    ],
    [
      '16-bit values',
      (tensors) => {
        const name = firstOf(tensors, 'parameter');
        tensors.set(name, { ...(tensors.get(name) as TensorToStore), type: 'F16' });
      },
      /is F16 \[/,
    ],
    ['NaN in a weight', poison('parameter', Number.NaN), /tensor '[^']*' \[.*\] holds NaN at index 3/],
    [
      'infinity in a moment',
      poison('second_moment', Number.POSITIVE_INFINITY),
      /\(Adam's second moment\) \[.*\] holds Infinity at index 3/,
    ],
  ])('with a digest that fits, but %s, is refused before anything is written', async (_, change, message) => {
    const checkpoint = memory();
    await stage([undefined, undefined], checkpoint);
    const changed = await forged(checkpoint, change);
    const written: string[] = [];
    const original = ParameterStore.prototype.write;
    ParameterStore.prototype.write = function (name, values, kind) {
      if (kind) written.push(name);
      original.call(this, name, values, kind);
    };
    try {
      const resuming = stage([undefined, undefined], changed, { resume: true });
      await expect(resuming).rejects.toThrow(CheckpointError);
      await expect(resuming).rejects.toThrow(message);
    } finally {
      ParameterStore.prototype.write = original;
    }
    expect(written).toEqual([]);
  });

  test('damage anywhere is noticed: every bit of a checkpoint, every cut', async () => {
    const checkpoint = memory();
    await stage([undefined], checkpoint);
    const whole = checkpoint.data as Uint8Array;
    const refused = async (data: Uint8Array, what: string) => {
      const changed = memory();
      changed.data = data;
      await expect(stage([undefined], changed, { resume: true }), what).rejects.toThrow(CheckpointError);
    };
    for (let at = 0; at < whole.length; at++)
      await refused(whole.with(at, (whole[at] as number) ^ (1 << (at % 8))), `byte ${at}`);
    for (let length = 1; length < whole.length; length += 7)
      await refused(whole.slice(0, length), `${length} bytes`);
    await refused(Uint8Array.of(...whole, 0), 'a byte too many');
  });

  test('one of an earlier version, without digest, is refused with advice', async () => {
    const checkpoint = memory();
    await stage([undefined], checkpoint);
    const { tensors, metadata } = readSafetensors(checkpoint.data as Uint8Array);
    checkpoint.data = writeSafetensors(storable(tensors), {
      stage: 'a stage',
      settings: '{}',
      state: metadata.state ?? '',
    });
    await expect(stage([undefined], checkpoint, { resume: true })).rejects.toThrow(
      /it is damaged or of another version \(format 'none'.*Begin anew/,
    );
  });

  test('stage II belongs to the result of its stage I', async () => {
    const stage1 = await forged(stages.stage1, (tensors) => {
      const name = firstOf(tensors, 'parameter');
      const { shape, values } = tensors.get(name) as TensorToStore;
      tensors.set(name, { shape, values: values.with(0, (values[0] as number) + 1) });
    });
    await expect(resumed({ checkpoint: { ...stages, stage1 } })).rejects.toThrow(
      /the result of stage I is not that of the checkpoint/,
    );
  });

  test('a resumed run looks at its last epochs again: nobody knows whether they were looked at', async () => {
    const seen: [stage: number, epoch: number][] = [];
    const afterEpoch: TrainDetectorOptions['afterEpoch'] = async ({ stage, epoch }) =>
      void seen.push([stage, epoch]);
    (await resumed({ afterEpoch })).store.destroy();
    expect(seen).toEqual([
      [1, 1],
      [2, 1],
    ]);
  });

  test('of a small teacher: other photographs, rate, epochs or source are refused', async () => {
    const checkpoint = memory();
    const small: DistillTeacherOptions = {
      engine,
      source: teacher,
      sourceName: 'random teacher',
      sourceBackbone: backbones.resnet18,
      backbone: backbones.resnet18,
      images: imageSource(images(3)),
      imageNames: ['a.png', 'b.png', 'c.png'],
      imageSizes: [size],
      batch: 2,
      epochs: 1,
      learningRate: 0.005,
      seed: 0,
      checkpoint,
    };
    const first = await distillTeacher(small);
    const again = await distillTeacher({ ...small, sourceName: 'elsewhere', resume: true });
    expect(Buffer.from(writeSafetensors(again.tensors)).equals(writeSafetensors(first.tensors))).toBe(true);
    for (const [change, message] of [
      [
        { images: imageSource(changedImages.slice(2)) },
        /the photographs are not those of the checkpoint: 3 of 3 changed, the first is a\.png/,
      ],
      [{ learningRate: 0.004 }, /learning rate was 0\.005 and is now 0\.004/],
      [{ epochs: 2 }, /epochs was 1 and is now 2/],
      [{ imageSizes: [64] }, /image sizes was \[32\] and is now \[64\]/],
      [{ mixed: 0.5 }, /mixed share was 0 and is now 0\.5/],
      [{ source: otherTeacher() }, /the big teacher is not that of the checkpoint/],
    ] as const)
      await expect(distillTeacher({ ...small, ...change, resume: true })).rejects.toThrow(message);
  });
});
