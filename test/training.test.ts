/** Training as a whole: repeatability, resume, interruption, the debug run, and the files that come out. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Interrupted } from '../src/base/errors.ts';
import { imageSource } from '../src/data/image_cache.ts';
import { Detector } from '../src/detector/detector.ts';
import { writeDetector } from '../src/detector/file.ts';
import { MapRunner } from '../src/detector/map_runner.ts';
import { newSettings } from '../src/detector/settings.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { conv2d } from '../src/engine/ops/conv2d.ts';
import { cosineDistance } from '../src/engine/ops/cosine_distance.ts';
import { mean } from '../src/engine/ops/reduce.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { initialize } from '../src/engine/runtime/initialize.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { backbones } from '../src/model/backbones.ts';
import { groups } from '../src/model/groups.ts';
import { detectorParameters } from '../src/model/methods.ts';
import type { TrainDetectorOptions } from '../src/train/check_options.ts';
import { distillTeacher } from '../src/train/distill_teacher.ts';
import { trainDetector } from '../src/train/train_detector.ts';
import { trainStage } from '../src/train/trainer.ts';
import { loadParameters } from '../src/weights/parameters.ts';
import { readSafetensors, type SafetensorsFile, writeSafetensors } from '../src/weights/safetensors.ts';
import { openPoisoned } from './support/poison.ts';
import { bits, differing, images, memory, randomTeacher, size, smallTraining } from './support/trainings.ts';

let engine: Engine;
let teacher: SafetensorsFile;
const options = (more: Partial<TrainDetectorOptions> = {}) => smallTraining(engine, teacher, more);

beforeAll(async () => {
  engine = await Engine.open();
  teacher = await randomTeacher(engine);
});
afterAll(() => engine.close());

describe('training', () => {
  let whole: Map<string, Float32Array>;

  test('the same seed gives the same parameters bit for bit', async () => {
    const first = await trainDetector(options());
    const second = await trainDetector(options());
    expect(second.history).toEqual(first.history);
    whole = await bits(first);
    expect(differing(whole, await bits(second))).toEqual([]);
    expect(whole.size).toBeGreaterThan(200);
    expect(first.history.stage2.length * 2 + first.history.stage1.length * 2).toBeGreaterThanOrEqual(8);
  });

  test('steps begin in their order, however long one takes to prepare', async () => {
    const store = new ParameterStore(engine, new ParameterSet());
    const begun: number[] = [];
    const history = await trainStage({
      stage: 'a stage',
      store,
      group: 'none',
      items: 5,
      batch: 2,
      epochs: 1,
      seed: 0,
      // As a whole batch's program takes longer to compile than that of the short one at the end.
      step: async (items, _, step) => {
        await new Promise((resolve) => setTimeout(resolve, items.length === 2 ? 30 : 0));
        begun.push(step);
        return { losses: Promise.resolve({ loss: step }) };
      },
    });
    expect(begun).toEqual([1, 2, 3]);
    expect(history).toEqual([{ loss: (2 * 1 + 2 * 2 + 3) / 5 }]);
  });

  test('what lies in new memory changes no bit', async () => {
    await using poisoned = await openPoisoned();
    expect(differing(whole, await bits(await trainDetector(options({ engine: poisoned }))))).toEqual([]);
  });

  test('another seed draws other parameters and keeps the teacher', async () => {
    const set = detectorParameters(backbones.resnet18, 'rd');
    const draw = async (seed: number) => {
      const store = new ParameterStore(engine, set);
      initialize(store, [groups.student], seed);
      const values = await store.read(['student.layer3.1.conv2.weight']);
      store.destroy();
      return values.get('student.layer3.1.conv2.weight');
    };
    expect(await draw(4)).not.toEqual(await draw(3));
    expect(whole.get('teacher.conv1.weight')?.length).toBe(7 * 7 * 3 * 64);
  });

  test.each([
    ['stage I', 1],
    ['stage II', 3],
  ])('a run that is interrupted in %s resumes to the same bits', async (_, stopAfter) => {
    const checkpoint = { stage1: memory(), stage2: memory() };
    const controller = new AbortController();
    let epochs = 0;
    const stopping = trainDetector(
      options({
        checkpoint,
        signal: controller.signal,
        onProgress: ({ images: done, total }) => {
          if (done === total && ++epochs === stopAfter) controller.abort();
        },
      }),
    );
    await expect(stopping).rejects.toThrow(Interrupted);
    expect(checkpoint.stage1.data).toBeDefined();
    const resumed = await trainDetector(options({ checkpoint, resume: true }));
    expect(differing(whole, await bits(resumed))).toEqual([]);
  });

  test.each([
    ['cached', 2 ** 31],
    ['recomputed', 0],
  ])('losses fall with %s targets', async (_, cacheBytes) => {
    const { store, history } = await trainDetector(options({ epochs: [1, 4], cacheBytes }));
    store.destroy();
    const losses = history.stage2.map(({ loss }) => loss as number);
    for (const [i, loss] of losses.slice(1).entries()) expect(loss).toBeLessThan(losses[i] as number);
  });

  test('mode rd trains without amplification', async () => {
    const { store, history } = await trainDetector(options({ mode: 'rd', epochs: [1, 2] }));
    expect(history.stage1).toEqual([]);
    expect(store.set.groups).not.toContain(groups.amplification);
    store.destroy();
  });

  test('a small teacher learns from a big one', async () => {
    const { tensors, history } = await distillTeacher({
      engine,
      source: teacher,
      sourceName: 'random teacher',
      sourceBackbone: backbones.resnet18,
      backbone: backbones.resnet18,
      images: imageSource(images(8)),
      imageSizes: [size],
      batch: 4,
      epochs: 6,
      learningRate: 0.005,
      seed: 0,
    });
    expect(history.at(-1)?.loss).toBeLessThan(history[0]?.loss as number);
    const store = new ParameterStore(engine, detectorParameters(backbones.resnet18, 'rd'));
    loadParameters(
      store,
      [groups.teacher],
      readSafetensors(writeSafetensors(tensors)),
      'distilled',
      'teacher.',
    );
    store.destroy();
  });
});

describe('detector file', () => {
  const calibration = { threshold: 1, min: 0, max: 2, rule: 'largest score of the good images' } as const;

  test('a written detector gives the same maps bit for bit, and only finite values', async () => {
    const { store } = await trainDetector(options({ epochs: [1, 1] }));
    const runner = new MapRunner(engine, store, backbones.resnet18, 'aand', size);
    const [direct] = await runner.run(images(1));
    const settings = newSettings({
      backbone: 'resnet18',
      mode: 'aand',
      imageSize: size,
      image: calibration,
      pixel: calibration,
      calibrationScores: [],
      training: {},
      version: 'test',
    });
    const bytes = await writeDetector(store, settings);
    await runner.destroy();
    store.destroy();
    const detector = await Detector.open(engine, bytes);
    const [loaded] = await detector.predict(images(1));
    expect(loaded?.map).toEqual(direct?.map);
    expect(loaded?.score).toBe(Math.max(...(loaded?.map ?? [])));
    expect(loaded?.map.every(Number.isFinite)).toBe(true);
    const again = await detector.predict(images(1));
    expect(again[0]?.map).toEqual(loaded?.map);
    const batch = await detector.predict(images(3));
    expect(batch[0]?.map).toEqual(loaded?.map);
    await detector.close();
  });

  test('NaN in weights is named', async () => {
    const tensors = new Map(
      [...teacher.tensors].map(([name, t]) => [name, { shape: t.shape, values: t.values.slice() }]),
    );
    (tensors.get('layer2.0.conv1.weight')?.values as Float32Array)[5] = Number.NaN;
    const broken = readSafetensors(writeSafetensors(tensors));
    await expect(
      trainDetector(options({ teacher: broken, teacherName: 'broken.safetensors' })),
    ).rejects.toThrow("broken.safetensors: tensor 'layer2.0.conv1.weight' [128,64,3,3] holds NaN at index 5");
  });

  test('a teacher of another backbone is refused with the tensor and the shapes', async () => {
    await expect(trainDetector(options({ backbone: backbones.resnet50 }))).rejects.toThrow(
      /tensor 'layer1\.0\.conv1\.weight' is \[64,64,3,3\], the model needs \[64,64,1,1\]/,
    );
    await expect(trainDetector(options({ backbone: backbones.resnet34 }))).rejects.toThrow(
      /tensors are missing/,
    );
  });

  test('image sizes that are no multiple of 32 are refused', async () => {
    await expect(trainDetector(options({ imageSize: 40 }))).rejects.toThrow(
      'image size 40 is not a multiple of 32',
    );
  });
});

describe('debug run', () => {
  test('names the first non-finite tensor and its operation', async () => {
    const tape = new Tape(new ParameterSet());
    const x = tape.input('x', [1, 2, 2, 4], 'channels');
    const w = tape.parameter('w', [1, 1, 4, 4], 'filter', 'model');
    const y = conv2d(tape, x, w);
    const loss = mean(tape, cosineDistance(tape, x, y).map);
    const store = new ParameterStore(engine, tape.parameters);
    store.write('w', new Float32Array(16).fill(1));
    const program = await Program.compile(engine, tape, { outputs: { loss }, store, debug: true });
    const values = new Float32Array(16).fill(1);
    expect((await program.run({ x: values })).loss?.[0]).toBeCloseTo(0, 5);
    values[6] = Number.POSITIVE_INFINITY;
    await expect(program.run({ x: values })).rejects.toThrow(
      /non-finite value in output of conv2d .*\[1,2,2,4\], element 4/,
    );
    program.destroy();
    store.destroy();
  });

  test('a missing or misshapen input is named', async () => {
    const tape = new Tape(new ParameterSet());
    const x = tape.input('x', [1, 2, 2, 4], 'channels');
    const y = conv2d(tape, x, tape.parameter('w', [1, 1, 4, 4], 'filter', 'model'));
    const program = await Program.compile(engine, tape, {
      outputs: { y },
      store: new ParameterStore(engine, tape.parameters),
    });
    await expect(program.run({})).rejects.toThrow("input 'x' [1,2,2,4] is missing");
    await expect(program.run({ x: new Float32Array(3) })).rejects.toThrow(
      "input 'x': 3 values given, shape [1,2,2,4] needs 16",
    );
    program.destroy();
  });
});

describe('device', () => {
  test('a lost device fails the running step instead of hanging', async () => {
    const own = await Engine.open();
    const tape = new Tape(new ParameterSet());
    const x = tape.input('x', [1, 2, 2, 4], 'channels');
    const y = conv2d(tape, x, tape.parameter('w', [1, 1, 4, 4], 'filter', 'model'));
    const program = await Program.compile(own, tape, {
      outputs: { y },
      store: new ParameterStore(own, tape.parameters),
    });
    own.device.destroy();
    await expect(program.run({ x: new Float32Array(16) })).rejects.toThrow(/device was lost|destroyed/i);
    await own.close();
  });

  test('running allocates nothing: 50 runs create no buffer', async () => {
    const tape = new Tape(new ParameterSet());
    const x = tape.input('x', [1, 2, 2, 4], 'channels');
    const y = conv2d(tape, x, tape.parameter('w', [1, 1, 4, 4], 'filter', 'model'));
    const program = await Program.compile(engine, tape, {
      outputs: { y },
      store: new ParameterStore(engine, tape.parameters),
    });
    const original = engine.device.createBuffer.bind(engine.device);
    let created = 0;
    engine.device.createBuffer = (descriptor) => {
      created++;
      return original(descriptor);
    };
    for (let i = 0; i < 50; i++) await program.run({ x: new Float32Array(16).fill(i) });
    engine.device.createBuffer = original;
    expect(created).toBe(0);
    program.destroy();
  });
});
