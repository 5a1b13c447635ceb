/** Teachers that learn from teachers: views, distances against float64, statistics, more than one size. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { imageSource } from '../src/data/image_cache.ts';
import { pixelWords } from '../src/data/image_input.ts';
import { gradients } from '../src/engine/gradients.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { one } from '../src/engine/ops/reduce.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { initialize } from '../src/engine/runtime/initialize.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import type { Image } from '../src/image/image.ts';
import { backbones } from '../src/model/backbones.ts';
import { featureDistillationLoss, levelDistance } from '../src/model/losses.ts';
import { resnet } from '../src/model/resnet.ts';
import type { Teacher } from '../src/model/teacher.ts';
import { type DistillTeacherOptions, distillTeacher } from '../src/train/distill_teacher.ts';
import { compareTeachers, estimateBatchNorms, measureSource } from '../src/train/distillation_measures.ts';
import {
  areAlike,
  recordBlockDistillation,
  recordTeacherDistillation,
  selectionName,
  statisticsName,
} from '../src/train/record_distillation.ts';
import { blend, randomView } from '../src/train/views.ts';
import { type SafetensorsFile, writeSafetensors } from '../src/weights/safetensors.ts';
import { images, memory, randomTeacher } from './support/trainings.ts';

let engine: Engine;
let teacher: SafetensorsFile;
beforeAll(async () => {
  engine = await Engine.open();
  teacher = await randomTeacher(engine);
});
afterAll(() => engine.close());

/** A small distillation of two epochs. */
const small = (changes: Partial<DistillTeacherOptions> = {}): DistillTeacherOptions => ({
  engine,
  source: teacher,
  sourceName: 'random teacher',
  sourceBackbone: backbones.resnet18,
  backbone: backbones.resnet18,
  images: imageSource(images(4)),
  imageSizes: [32],
  batch: 2,
  epochs: 2,
  learningRate: 0.002,
  seed: 0,
  ...changes,
});

/** Stops a distillation when its first epoch is kept; what is kept. */
async function stoppedAfterOneEpoch(options: DistillTeacherOptions) {
  const checkpoint = memory();
  const stop = new AbortController();
  const stopped = distillTeacher({
    ...options,
    checkpoint: { ...checkpoint, save: (data) => checkpoint.save(data).then(() => stop.abort()) },
    signal: stop.signal,
  });
  await expect(stopped).rejects.toThrow('interrupted');
  return checkpoint;
}

describe('views', () => {
  const lines: Image = {
    width: 256,
    height: 256,
    channels: 3,
    data: Uint8Array.from({ length: 256 * 256 * 3 }, (_, i) => (Math.floor(i / 3) % 2 ? 255 : 0)),
  };
  const views = Array.from({ length: 60 }, (_, i) => randomView(lines, 32, new RandomStream(1, 'view', i)));

  test('the same stream gives the same view, another one another', () => {
    const again = randomView(lines, 32, new RandomStream(1, 'view', 0));
    expect(again).toEqual(views[0]);
    expect(again.data).not.toEqual(views[1]?.data);
  });

  test('lines finer than a pixel of the view become an even grey: nothing is aliased', () => {
    for (const { data } of views) {
      // All channels are alike, and crops of less than 32 pixels do not occur: 25 % of 256x256 are 128x128.
      const inner = Array.from(
        { length: 28 * 28 },
        (_, i) => data[((2 + Math.floor(i / 28)) * 32 + 2 + (i % 28)) * 3],
      );
      expect(Math.max(...(inner as number[])) - Math.min(...(inner as number[]))).toBeLessThan(70);
    }
  });

  test('about three of ten views of a coloured photograph are grey', () => {
    const red: Image = { ...lines, data: Uint8Array.from(lines.data, (_, i) => (i % 3 ? 40 : 160)) };
    const grey = Array.from(
      { length: 200 },
      (_, i) => randomView(red, 8, new RandomStream(2, i)).data,
    ).filter((data) => data[0] === data[1] && data[1] === data[2]);
    expect(grey.length).toBeGreaterThan(40);
    expect(grey.length).toBeLessThan(80);
  });

  test('a blend is the weighted mean of both', () => {
    const of = (value: number): Image => ({
      width: 1,
      height: 1,
      channels: 3,
      data: new Uint8Array(3).fill(value),
    });
    expect(blend(of(200), of(100), 0.25).data).toEqual(Uint8Array.of(125, 125, 125));
  });
});

test('distances, loss and gradient are those of float64', async () => {
  const [channels, positions] = [6, 2 * 3 * 3];
  const random = new RandomStream('distances');
  const draw = (count: number, low: number, high: number) =>
    Float32Array.from({ length: count }, () => random.uniform(low, high));
  const target = draw(positions * channels, 0, 2);
  const learned = draw(positions * channels, 0, 2);
  const mean = draw(channels, 0, 1);
  const variance = draw(channels, 0.01, 0.5);
  const set = new ParameterSet();
  const tape = new Tape(set);
  const shape = [2, 3, 3, channels];
  const input = (name: string) => tape.input(name, shape, 'channels');
  const vector = (name: string, values: Float32Array) => tape.constant(name, [channels], 'channels', values);
  const tensors = { target: input('target'), learned: input('learned') };
  const level = levelDistance(tape, {
    ...tensors,
    statistics: {
      weight: vector('ones', new Float32Array(channels).fill(1)),
      bias: vector('zeros', new Float32Array(channels)),
      running_mean: vector('mean', mean),
      running_var: vector('variance', variance),
    },
  });
  const loss = featureDistillationLoss(tape, [level]);
  const gradient = gradients(tape, new Map([[loss, one(tape)]]), [tensors.learned]).get(tensors.learned);
  if (!gradient) throw new Error('no gradient');
  const store = new ParameterStore(engine, set);
  const program = await Program.compile(engine, tape, { outputs: { ...level, loss, gradient }, store });
  const found = await program.run({ target, learned });
  program.destroy();
  store.destroy();
  const distances = (values: ArrayLike<number>) => {
    let [cosine, error] = [0, 0];
    for (let p = 0; p < positions; p++) {
      let [ab, aa, bb] = [0, 0, 0];
      for (let c = 0; c < channels; c++) {
        const [a, b] = [target[p * channels + c] as number, values[p * channels + c] as number];
        ab += a * b;
        aa += a * a;
        bb += b * b;
        error += (a - b) ** 2 / ((variance[c] as number) + 1e-5);
      }
      cosine += 1 - ab / Math.sqrt(aa * bb);
    }
    return { cosine: cosine / positions, error: error / (positions * channels) };
  };
  const { cosine, error } = distances(learned);
  expect((found.cosine as Float32Array)[0]).toBeCloseTo(cosine, 5);
  expect((found.error as Float32Array)[0]).toBeCloseTo(error, 4);
  expect((found.loss as Float32Array)[0]).toBeCloseTo(cosine + error, 4);
  for (let i = 0; i < learned.length; i++) {
    const moved = (by: number) => {
      const { cosine: c, error: e } = distances(
        Float64Array.from(learned).with(i, (learned[i] as number) + by),
      );
      return c + e;
    };
    expect((found.gradient as Float32Array)[i]).toBeCloseTo((moved(1e-5) - moved(-1e-5)) / 2e-5, 4);
  }
});

describe('measures', () => {
  const shape = { sourceBackbone: backbones.resnet18, backbone: backbones.resnet18, imageSize: 32 };
  async function* batches(list: readonly Image[]) {
    for (let i = 0; i < list.length; i += 2) yield list.slice(i, i + 2);
  }
  const open = () => {
    const parameters = new ParameterSet();
    recordTeacherDistillation(parameters, shape, 2);
    const store = new ParameterStore(engine, parameters);
    initialize(store, ['learner', 'source'], 3);
    return { engine, parameters, store, shape };
  };

  test('a learner with the weights of its source is at no distance from it', async () => {
    const m = open();
    await measureSource(m, batches(images(4)), 2);
    const apart = await compareTeachers(m, imageSource(images(3)), 2);
    for (const { name } of m.parameters.specs.filter(({ group }) => group === 'learner')) {
      const from = name.replace('learner.', 'source.');
      m.store.write(name, (await m.store.read([from])).get(from) as Float32Array);
    }
    const same = await compareTeachers(m, imageSource(images(3)), 2);
    m.store.destroy();
    for (const level of [0, 1, 2]) {
      expect(same.cosine[level]).toBeLessThan(1e-6);
      expect(same.error[level]).toBe(0);
      expect(apart.cosine[level]).toBeGreaterThan(0.01);
      expect(apart.error[level]).toBeGreaterThan(0.1);
    }
  });

  test('the statistics of the source and of batch norms are means over all batches', async () => {
    const m = open();
    const statistics = async (list: readonly Image[]) => {
      await measureSource(m, batches(list), 2);
      await estimateBatchNorms(m, batches(list), 2);
      const names = [
        statisticsName(2, 'running_mean'),
        statisticsName(2, 'running_var'),
        'learner.bn1.running_mean',
        'learner.layer3.1.bn2.running_var',
      ];
      const read = await m.store.read(names);
      return names.map((name) => read.get(name) as Float32Array);
    };
    const [first, second] = [images(4).slice(0, 2), images(4).slice(2)];
    const [a, b, both] = [await statistics(first), await statistics(second), await statistics(images(4))];
    m.store.destroy();
    const middle = (i: number, c: number) => ((a[i]?.[c] as number) + (b[i]?.[c] as number)) / 2;
    for (const i of [0, 2, 3])
      both[i]?.forEach((value, c) => {
        expect(value).toBeCloseTo(middle(i, c), 5);
      });
    // Of features, all positions of all views are one sample: the means of both halves differ too.
    both[1]?.forEach((value, c) => {
      const apart = ((a[0]?.[c] as number) - (b[0]?.[c] as number)) / 2;
      expect(value).toBeCloseTo(middle(1, c) + apart ** 2, 4);
    });
  });
});

describe('block by block', () => {
  const shape = { sourceBackbone: backbones.resnet18, backbone: backbones.resnet18, imageSize: 32 };

  test('a block does not feel what the blocks before it have learned', async () => {
    const parameters = new ParameterSet();
    const { tape, loss, levels } = recordBlockDistillation(parameters, shape, 2);
    const store = new ParameterStore(engine, parameters);
    initialize(store, ['learner', 'source', 'statistics'], 3);
    const outputs = { loss, ...Object.fromEntries(levels.map(({ error }, i) => [`${i}`, error])) };
    const program = await Program.compile(engine, tape, { outputs, store });
    const pixels = pixelWords(images(2));
    const values = async () => {
      const found = await program.run({ pixels });
      return ['0', '1', '2', 'loss'].map((name) => (found[name] as Float32Array)[0] as number);
    };
    const before = await values();
    const name = 'learner.layer1.1.conv2.weight';
    const weights = (await store.read([name])).get(name) as Float32Array;
    store.write(
      name,
      weights.map((value) => -value),
    );
    await program.refresh();
    const after = await values();
    program.destroy();
    store.destroy();
    expect(before.every((value) => value > 0)).toBe(true);
    expect(after[0]).not.toBe(before[0]);
    expect(after.slice(1, 3)).toEqual(before.slice(1, 3));
    expect(after[3]).not.toBe(before[3]);
  });

  test('a channel that never does anything counts by a tenth of the usual variance', async () => {
    const parameters = new ParameterSet();
    recordTeacherDistillation(parameters, shape, 2);
    recordBlockDistillation(parameters, shape, 2);
    const store = new ParameterStore(engine, parameters);
    initialize(store, ['learner', 'source', 'statistics'], 3);
    const name = 'source.bn1.weight';
    store.write(name, ((await store.read([name])).get(name) as Float32Array).fill(0, 0, 1));
    const views = async function* () {
      yield images(2);
    };
    await measureSource({ engine, parameters, store, shape }, views(), 2);
    const variance = statisticsName('block0', 'running_var');
    const [least = 0, ...others] = (await store.read([variance])).get(variance) as Float32Array;
    store.destroy();
    // The stem's first channel is 0 everywhere; of the others none is below the least.
    const sum = others.reduce((total, value) => total + value, 0);
    expect(Math.min(...others)).toBeGreaterThanOrEqual(least);
    expect(least).toBeLessThanOrEqual((0.1 * (sum + least)) / 64);
    const above = others.filter((value) => value > least).reduce((total, value) => total + value, 0);
    expect(least).toBeGreaterThanOrEqual((0.1 * above * (1 - 1e-5)) / 64);
  });

  test('is for networks with as many blocks of the same strides, at most as wide', () => {
    const { resnet18, resnet18_half, resnet34, resnet50, wide_resnet50_2 } = backbones;
    expect(areAlike(shape)).toBe(true);
    expect(areAlike({ ...shape, backbone: resnet18_half })).toBe(true);
    expect(areAlike({ ...shape, sourceBackbone: resnet18_half, backbone: resnet18 })).toBe(false);
    expect(areAlike({ ...shape, sourceBackbone: wide_resnet50_2, backbone: resnet50 })).toBe(true);
    for (const backbone of [resnet34, resnet50]) expect(areAlike({ ...shape, backbone })).toBe(false);
    const parameters = new ParameterSet();
    expect(() => recordBlockDistillation(parameters, { ...shape, backbone: resnet34 }, 2)).toThrow(
      'resnet34 cannot learn block by block from resnet18: their blocks are not alike',
    );
  });

  test('a narrower network learns the channels with the most energy, as they are', async () => {
    const views = async function* () {
      yield images(2);
    };
    const measure = async (backbone: Teacher, names: readonly string[]) => {
      const parameters = new ParameterSet();
      const narrow = { ...shape, backbone };
      recordTeacherDistillation(parameters, narrow, 2);
      recordBlockDistillation(parameters, narrow, 2);
      const store = new ParameterStore(engine, parameters);
      initialize(store, ['learner', 'source', 'statistics'], 3);
      await measureSource({ engine, parameters, store, shape: narrow }, views(), 2);
      const read = await store.read(names);
      store.destroy();
      return { values: names.map((name) => read.get(name) as Float32Array), parameters };
    };
    for (const [level, width] of [64, 128, 256].entries()) {
      const measured = (['running_mean', 'running_var'] as const).map((part) => statisticsName(level, part));
      const whole = await measure(backbones.resnet18, measured);
      const [means = [], variances = []] = whole.values.map((values) => [...values]);
      const energy = means.map((mean, c) => mean ** 2 + (variances[c] as number));
      const half = await measure(backbones.resnet18_half, [selectionName(width), ...measured]);
      const [matrix = [], ...statistics] = half.values.map((values) => [...values]);
      const count = width / 2;
      const chosen = Array.from({ length: count }, (_, to) =>
        Array.from({ length: width }, (_, from) => from).filter((from) => matrix[from * count + to] === 1),
      ).flat();
      expect(chosen).toEqual([...new Set(chosen)].sort((a, b) => a - b));
      expect(matrix.filter((value) => value !== 0)).toHaveLength(count);
      const others = energy.filter((_, c) => !chosen.includes(c));
      expect(Math.min(...chosen.map((c) => energy[c] as number))).toBeGreaterThanOrEqual(Math.max(...others));
      expect(statistics).toEqual([chosen.map((c) => means[c]), chosen.map((c) => variances[c])]);
      expect(half.parameters.specs.filter(({ name }) => name.startsWith('projection.'))).toEqual([]);
      expect(whole.parameters.has(selectionName(width))).toBe(false);
    }
  });

  test('parts whose width no level has get their channels too', async () => {
    // A bottleneck network's stem is narrower than its first level.
    const backbone = resnet({ ...backbones.resnet50, name: 'narrow', planes: 32 });
    const narrow = { sourceBackbone: backbones.resnet50, backbone, imageSize: 32 };
    expect(areAlike(narrow)).toBe(true);
    const parameters = new ParameterSet();
    recordTeacherDistillation(parameters, narrow, 2);
    recordBlockDistillation(parameters, narrow, 2);
    const store = new ParameterStore(engine, parameters);
    initialize(store, ['learner', 'source', 'statistics'], 3);
    const views = async function* () {
      yield images(2);
    };
    await measureSource({ engine, parameters, store, shape: narrow }, views(), 2);
    for (const width of [64, 256, 512, 1024]) {
      const name = selectionName(width);
      const matrix = (await store.read([name])).get(name) as Float32Array;
      expect(matrix.reduce((sum, value) => sum + value, 0)).toBe(width / 2);
    }
    store.destroy();
  });

  test('a network that is not alike learns through a projection', () => {
    const parameters = new ParameterSet();
    recordTeacherDistillation(parameters, { ...shape, sourceBackbone: backbones.resnet50 }, 2);
    const projections = parameters.specs.filter(({ name }) => /^projection.*weight$/.test(name));
    expect(projections.map((spec) => [...spec.shape])).toEqual([
      [1, 1, 64, 256],
      [1, 1, 128, 512],
      [1, 1, 256, 1024],
    ]);
    expect(parameters.has(selectionName(256))).toBe(false);
  });

  test.each([
    'resnet18',
    'resnet18_half',
  ] as const)('%s: it comes first; a run that was stopped between has the same bits', async (name) => {
    const options = small({ blockwise: 0.5, backbone: backbones[name] });
    const whole = await distillTeacher(options);
    const checkpoint = await stoppedAfterOneEpoch(options);
    await expect(distillTeacher({ ...options, blockwise: 0, checkpoint, resume: true })).rejects.toThrow(
      /share block by block/,
    );
    const resumed = await distillTeacher({ ...options, checkpoint, resume: true });
    const bytes = writeSafetensors(whole.tensors);
    expect(Buffer.from(writeSafetensors(resumed.tensors)).equals(bytes)).toBe(true);
    expect(
      [...whole.tensors.keys()].filter((name) => /block|statistics|selection|projection/.test(name)),
    ).toEqual([]);
    const joint = await distillTeacher({ ...options, blockwise: 0 });
    for (const epoch of [0, 1]) expect(joint.history[epoch]?.loss).not.toBe(whole.history[epoch]?.loss);
  });

  test('a share that is none is refused', async () => {
    await expect(distillTeacher(small({ blockwise: 1.5 }))).rejects.toThrow(
      'the share of the epochs block by block is 1.5, expected 0 to 1',
    );
  });
});

test('two sizes and blends: a run that was stopped after its first epoch ends with the same bits', async () => {
  const options = small({
    backbone: backbones.resnet18_half,
    check: imageSource(images(2)),
    imageSizes: [32, 64],
    mixed: 0.5,
  });
  const whole = await distillTeacher(options);
  const checkpoint = await stoppedAfterOneEpoch(options);
  const resumed = await distillTeacher({ ...options, checkpoint, resume: true });
  expect(resumed.distance).toEqual(whole.distance);
  expect(resumed.distance?.cosine.every((value) => value > 0 && value < 2)).toBe(true);
  expect(Buffer.from(writeSafetensors(resumed.tensors)).equals(writeSafetensors(whole.tensors))).toBe(true);
  expect(whole.tensors.get('layer3.1.conv2.weight')?.shape).toEqual([128, 128, 3, 3]);
  expect([...whole.tensors.keys()].filter((name) => /projection|selection|statistics/.test(name))).toEqual(
    [],
  );
});

test('more sizes than epochs are refused', async () => {
  await expect(distillTeacher(small({ imageSizes: [32, 64], epochs: 1 }))).rejects.toThrow(
    '2 image sizes for 1 epochs; each needs an epoch',
  );
});
