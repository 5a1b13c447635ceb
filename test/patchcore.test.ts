/** PatchCore: operations, choice and scores against float64; what is learned, kept in a file, and refused. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { randomWeights } from '../bench/support/random_weights.ts';
import { RandomStream } from '../src/base/random.ts';
import { Detector } from '../src/detector/detector.ts';
import { readDetector, writeDetector } from '../src/detector/file.ts';
import { newSettings } from '../src/detector/settings.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import type { Tensor } from '../src/engine/graph/tensor.ts';
import { bankScore, nearestRows } from '../src/engine/ops/nearest.ts';
import { neighbourhoodMean, upsampleFeatures } from '../src/engine/ops/patches.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { exportDetector } from '../src/export/onnx_detector.ts';
import { exportTorch } from '../src/export/torch.ts';
import { backboneNamed } from '../src/model/backbones.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import type { TrainDetectorOptions } from '../src/train/check_options.ts';
import { greedyCoreset } from '../src/train/coreset.ts';
import { coresetSize } from '../src/train/memory_bank.ts';
import { trainDetector } from '../src/train/train_detector.ts';
import type { Progress } from '../src/train/trainer.ts';
import type { SafetensorsFile } from '../src/weights/safetensors.ts';
import { picture } from './support/tiny_teacher.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

function randomRows(rows: number, channels: number, seed: string): Float32Array {
  const random = new RandomStream(seed);
  return Float32Array.from({ length: rows * channels }, () => random.uniform(-1, 1));
}

async function runTape(
  record: (tape: Tape) => Record<string, Tensor>,
  inputs: Record<string, Float32Array>,
): Promise<Record<string, Float32Array>> {
  const tape = new Tape(new ParameterSet());
  const outputs = record(tape);
  const store = new ParameterStore(engine, tape.parameters);
  const program = await Program.compile(engine, tape, { outputs, store });
  try {
    return await program.run(inputs);
  } finally {
    program.destroy();
    store.destroy();
  }
}

const words = (values: Float32Array | undefined) =>
  values ? [...new Uint32Array(values.buffer, values.byteOffset, values.length)] : [];

/** Squared distance of two rows in float64. */
function squared(a: Float32Array, i: number, b: Float32Array, j: number, channels: number): number {
  let sum = 0;
  for (let c = 0; c < channels; c++)
    sum += ((a[i * channels + c] as number) - (b[j * channels + c] as number)) ** 2;
  return sum;
}

function largestError(found: Float32Array | undefined, wanted: readonly number[]): number {
  expect(found).toHaveLength(wanted.length);
  return wanted.reduce((most, value, i) => Math.max(most, Math.abs(value - (found?.[i] ?? Number.NaN))), 0);
}

describe('patch features', () => {
  test('the mean of 3 x 3 positions; zeros beyond the border count', async () => {
    const [n, h, w, c] = [2, 3, 5, 6];
    const x = randomRows(n * h * w, c, 'mean');
    const { y } = await runTape(
      (tape) => ({ y: neighbourhoodMean(tape, tape.input('x', [n, h, w, c], 'channels')) }),
      { x },
    );
    const wanted: number[] = [];
    for (let i = 0; i < n; i++)
      for (let row = 0; row < h; row++)
        for (let column = 0; column < w; column++)
          for (let k = 0; k < c; k++) {
            let sum = 0;
            for (let r = Math.max(row - 1, 0); r <= Math.min(row + 1, h - 1); r++)
              for (let q = Math.max(column - 1, 0); q <= Math.min(column + 1, w - 1); q++)
                sum += x[((i * h + r) * w + q) * c + k] as number;
            wanted.push(sum / 9);
          }
    expect(largestError(y, wanted)).toBeLessThan(3e-7);
  });

  test('bilinear interpolation with half-pixel centres, of twice and of an uneven size', async () => {
    const [n, h, w, c] = [2, 3, 4, 5];
    const x = randomRows(n * h * w, c, 'upsample');
    for (const [height, width] of [
      [6, 8],
      [7, 5],
    ] as const) {
      const { y } = await runTape(
        (tape) => ({ y: upsampleFeatures(tape, tape.input('x', [n, h, w, c], 'channels'), height, width) }),
        { x },
      );
      const taps = (target: number, size: number, input: number) => {
        const source = Math.max(((target + 0.5) * input) / size - 0.5, 0);
        const low = Math.floor(source);
        return [low, Math.min(low + 1, input - 1), source - low] as const;
      };
      const wanted: number[] = [];
      for (let i = 0; i < n; i++)
        for (let row = 0; row < height; row++)
          for (let column = 0; column < width; column++)
            for (let k = 0; k < c; k++) {
              const [top, bottom, v] = taps(row, height, h);
              const [left, right, u] = taps(column, width, w);
              const at = (r: number, q: number) => x[((i * h + r) * w + q) * c + k] as number;
              wanted.push(
                (at(top, left) * (1 - u) + at(top, right) * u) * (1 - v) +
                  (at(bottom, left) * (1 - u) + at(bottom, right) * u) * v,
              );
            }
      expect(largestError(y, wanted)).toBeLessThan(5e-7);
    }
  });
});

describe('nearest rows and score', () => {
  const record =
    (shape: readonly number[], rows: number, neighbours: number) =>
    (tape: Tape): Record<string, Tensor> => {
      const patches = tape.input('patches', shape, 'channels');
      const bank = tape.input('bank', [rows, shape[3] as number], 'channels');
      const nearest = nearestRows(tape, patches, bank);
      return { ...nearest, score: bankScore(tape, patches, bank, nearest, neighbours) };
    };

  // Sizes that fill no tile, ranges of a bank that are cut, one row, fewer rows than a workgroup has threads.
  test.each([
    { n: 2, side: 5, channels: 10, rows: 3, neighbours: 3 },
    { n: 1, side: 3, channels: 21, rows: 1, neighbours: 1 },
    { n: 3, side: 6, channels: 32, rows: 300, neighbours: 9 },
    { n: 1, side: 8, channels: 6, rows: 129, neighbours: 9 },
  ])('$n images, $side x $side patches of $channels values, $rows rows', async (o) => {
    const count = o.n * o.side ** 2;
    const patches = randomRows(count, o.channels, 'patches');
    const bank = randomRows(o.rows, o.channels, 'bank');
    // Equal rows: the first counts.
    if (o.rows > 9) bank.copyWithin(7 * o.channels, 2 * o.channels, 3 * o.channels);
    if (o.rows > 9) patches.set(bank.subarray(2 * o.channels, 3 * o.channels), o.channels);
    const shape = [o.n, o.side, o.side, o.channels];
    const found = await runTape(record(shape, o.rows, o.neighbours), { patches, bank });
    const nearest = Array.from({ length: count }, (_, p) => {
      const all = Array.from({ length: o.rows }, (_, r) => squared(patches, p, bank, r, o.channels));
      const row = all.indexOf(Math.min(...all));
      return { row, distance: Math.sqrt(all[row] as number) };
    });
    expect(words(found.row)).toEqual(nearest.map(({ row }) => row));
    expect(
      largestError(
        found.distance,
        nearest.map(({ distance }) => distance),
      ),
    ).toBeLessThan(1e-6);
    if (o.rows > 9) expect(found.distance?.[1]).toBe(0);
    const scores = Array.from({ length: o.n }, (_, image) => {
      const own = nearest.slice(image * o.side ** 2, (image + 1) * o.side ** 2);
      const distance = Math.max(...own.map((each) => each.distance));
      const at = own.findIndex((each) => each.distance === distance);
      const { row } = own[at] as (typeof own)[number];
      const near = Array.from(
        { length: o.rows },
        (_, r) => [squared(bank, row, bank, r, o.channels), r] as const,
      )
        .sort(([a, i], [b, j]) => a - b || i - j)
        .slice(0, o.neighbours);
      const patch = image * o.side ** 2 + at;
      const sum = near.reduce(
        (total, [, r]) => total + Math.exp(Math.sqrt(squared(patches, patch, bank, r, o.channels))),
        0,
      );
      return o.neighbours === 1 ? distance : (1 - Math.exp(distance) / sum) * distance;
    });
    expect(largestError(found.score, scores)).toBeLessThan(2e-6);
    const again = await runTape(record(shape, o.rows, o.neighbours), { patches, bank });
    expect(again).toEqual(found);
  });

  test('shapes that do not fit are refused', () => {
    const tape = new Tape(new ParameterSet());
    const patches = tape.input('patches', [1, 2, 2, 8], 'channels');
    const bank = tape.input('bank', [5, 4], 'channels');
    expect(() => nearestRows(tape, patches, bank)).toThrow(/patches have 8 channels, the bank has 4/);
    const fitting = tape.input('fitting', [5, 8], 'channels');
    const nearest = nearestRows(tape, patches, fitting);
    expect(() => bankScore(tape, patches, fitting, nearest, 6)).toThrow(/6 neighbours are outside of 1\.\.5/);
  });
});

describe('the greedy choice', () => {
  /** In float64. */
  function reference(rows: Float32Array, channels: number, count: number, first: number): number[] {
    const nearest = new Float64Array(rows.length / channels).fill(Number.POSITIVE_INFINITY);
    const chosen = [first];
    while (chosen.length < count) {
      const last = chosen.at(-1) as number;
      nearest.forEach((value, p) => {
        nearest[p] = Math.min(value, squared(rows, p, rows, last, channels));
      });
      const best = nearest.reduce((a, b) => Math.max(a, b));
      if (best === 0) break;
      chosen.push(nearest.indexOf(best));
    }
    return chosen;
  }

  test('is that of float64, in one part and in several, and repeats', async () => {
    const rows = randomRows(500, 12, 'coreset');
    const wanted = reference(rows, 12, 40, 17);
    const told: number[] = [];
    const onChosen = (chosen: number) => told.push(chosen);
    const whole = await greedyCoreset(engine, rows, 12, { count: 40, first: 17, onChosen });
    expect([...whole]).toEqual(wanted);
    expect(told).toEqual(wanted.map((_, i) => i + 1));
    const parts = await greedyCoreset(engine, rows, 12, { count: 40, first: 17, rowsPerPart: 130 });
    expect(parts).toEqual(whole);
  });

  test('ends where all rows lie on chosen ones', async () => {
    const rows = Float32Array.from({ length: 20 }, (_, i) => Math.floor(i / 2) % 3);
    const chosen = await greedyCoreset(engine, rows, 2, { count: 9, first: 4 });
    expect([...chosen]).toEqual(reference(rows, 2, 9, 4));
    expect(chosen).toHaveLength(3);
  });

  test('can be interrupted', async () => {
    const controller = new AbortController();
    const rows = randomRows(100, 4, 'interrupt');
    const choosing = greedyCoreset(engine, rows, 4, {
      count: 50,
      first: 0,
      signal: controller.signal,
      onChosen: (chosen) => chosen === 5 && controller.abort(),
    });
    await expect(choosing).rejects.toMatchObject({ code: 'interrupted' });
  });
});

describe('how many patches are kept', () => {
  test('without a share 1 % of many, at least 2500 of fewer, and never more than there are', () => {
    expect([1_000_000, 250_000, 100_000, 2500, 60].map((total) => coresetSize(total))).toEqual([
      10_000, 2500, 2500, 2500, 60,
    ]);
  });

  test('with a share that share, at least one', () => {
    expect([1000, 250, 30].map((total) => coresetSize(total, 0.01))).toEqual([10, 3, 1]);
    expect(coresetSize(30, 1)).toBe(30);
  });
});

describe('a detector', () => {
  const size = 64;
  const backbone = backboneNamed('resnet18');
  let teacher: SafetensorsFile;
  let options: TrainDetectorOptions;
  beforeAll(async () => {
    teacher = await randomWeights(engine, backbone);
    options = {
      engine,
      backbone,
      mode: 'patchcore',
      teacher,
      teacherName: 'random weights',
      images: Array.from({ length: 10 }, (_, i) => picture(i, size)),
      textures: proceduralTextures(),
      imageSize: size,
      batch: 4,
      epochs: [1, 1],
      seed: 3,
      coreset: 0.05,
    };
  });

  test('learns, lies in one file with its bank, judges, and repeats', async () => {
    const told: Progress[] = [];
    const { store, history } = await trainDetector({ ...options, onProgress: (each) => told.push(each) });
    expect(history).toEqual({ stage1: [], stage2: [] });
    expect([...new Set(told.map(({ stage }) => stage))]).toEqual(['features', 'coreset', 'bank']);
    expect(told.find(({ stage }) => stage === 'coreset')).toMatchObject({ total: 32, unit: 'patches' });
    // 10 images of 8 x 8 patches, 5 % of them, layers of 128 and 256 channels.
    expect(store.set.spec('memory.bank').shape).toEqual([32, 384]);
    const settings = newSettings({
      backbone: backbone.name,
      mode: 'patchcore',
      imageSize: size,
      image: null,
      pixel: null,
      calibrationScores: [],
      training: { coreset: 0.05 },
      version: 'test',
    });
    const bytes = await writeDetector(store, settings);
    store.destroy();
    expect((await readDetector(bytes, 'model')).tensors.get('memory.bank')?.shape).toEqual([32, 384]);
    await using detector = await Detector.open(engine, bytes);
    const images = [...options.images.slice(0, 7), picture(0, size, true)] as ReturnType<typeof picture>[];
    const raw = await detector.runner.run(images);
    const bad = raw.at(-1);
    expect(bad?.map).toHaveLength(size * size);
    expect(bad?.score).toBeGreaterThan(Math.max(...raw.slice(0, -1).map(({ score }) => score)));
    // Alone, an image has the same bits as among eight.
    expect((await detector.runner.run(images.slice(-1)))[0]).toEqual(bad);
    expect(await detector.runner.explain(picture(0, size))).toEqual([]);
    const again = await trainDetector(options);
    expect(Buffer.compare(await writeDetector(again.store, settings), bytes)).toBe(0);
    again.store.destroy();
    const refused = /model: .* 'patchcore' trains no student, it keeps features of good images/;
    await expect(exportTorch(bytes, 'model')).rejects.toThrow(refused);
    await expect(exportDetector(engine, bytes, 'model', { batch: 1, version: 'test' })).rejects.toThrow(
      refused,
    );
  });

  test('a share that is none, a bank that fits no binding, and going on are refused', async () => {
    await expect(trainDetector({ ...options, coreset: 0 })).rejects.toThrow(/expected above 0 and at most 1/);
    await expect(trainDetector({ ...options, start: teacher })).rejects.toThrow(
      /a trained detector cannot go on learning: 'patchcore' trains no student/,
    );
    const image = picture(0, size);
    const many = { ...options, images: new Array(1400).fill(image), coreset: 1 };
    await expect(trainDetector(many)).rejects.toThrow(/larger than 128 MiB; at most 0\.97\d* of them fit/);
  });

  test('is interrupted while it chooses', async () => {
    const controller = new AbortController();
    const training = trainDetector({
      ...options,
      signal: controller.signal,
      onProgress: ({ stage }) => stage === 'coreset' && controller.abort(),
    });
    await expect(training).rejects.toMatchObject({ code: 'interrupted' });
  });
});
