/**
 * `Detector.train`: photographs of any source become a detector. It is the command line's training: the same
 * photographs give the same weights.
 */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { randomWeights } from '../bench/support/random_weights.ts';
import { Interrupted } from '../src/base/errors.ts';
import { interruptSignal } from '../src/cli/common.ts';
import { openRunFolder } from '../src/cli/run_folder.ts';
import { planOn, planTraining } from '../src/cli/training_options.ts';
import { trainAndTest } from '../src/cli/training_run.ts';
import { openDataset } from '../src/data/open.ts';
import type { ImageSource } from '../src/data/sources.ts';
import { Detector } from '../src/detector/detector.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import type { Image } from '../src/image/image.ts';
import { registerBackbone } from '../src/model/backbones.ts';
import { encodePng } from '../src/platform/node.ts';
import type { TrainOptions } from '../src/session/train_options.ts';
import type { TrainingProgress } from '../src/session/training_progress.ts';
import { readSafetensors, storable, writeSafetensors } from '../src/weights/safetensors.ts';
import { picture, tinyTeacher } from './support/tiny_teacher.ts';
import { differing } from './support/trainings.ts';

const side = 32;
let engine: Engine;
let folder: string;
let teacher: Uint8Array;
let files: string[];

beforeAll(async () => {
  registerBackbone(tinyTeacher);
  engine = await Engine.open();
  teacher = writeSafetensors(storable((await randomWeights(engine, tinyTeacher)).tensors));
  folder = mkdtempSync(join(tmpdir(), 'aand-library-'));
  mkdirSync(join(folder, 'parts'));
  files = [];
  for (let i = 0; i < 5; i++) {
    const path = join(folder, 'parts', `${i}.png`);
    // No square: they are resized as the command line resizes them.
    const { data } = picture(i, 40);
    writeFileSync(path, await encodePng({ width: 50, height: 32, channels: 3, data }));
    files.push(path);
  }
  writeFileSync(join(folder, 'teacher.safetensors'), teacher);
});
afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
});

const small = (more: Partial<TrainOptions> = {}) => ({
  engine,
  backbone: 'tiny',
  teacher,
  imageSize: side,
  batch: 2,
  epochs: [1, 2] as const,
  good: files as readonly ImageSource[],
  ...more,
});
const bad = (count: number): Image[] => Array.from({ length: count }, (_, i) => picture(100 + i, side, true));

function weightsOf(bytes: Uint8Array): Map<string, Float32Array> {
  const { tensors } = readSafetensors(bytes, 'model');
  return new Map([...tensors].map(([name, tensor]) => [name, tensor.values]));
}

describe('the same photographs as `aand train`', () => {
  test('give the same weights, limit and record', async () => {
    const dataset = await openDataset(join(folder, 'parts'));
    const asked = await planTraining({
      out: join(folder, 'out'),
      backbone: 'tiny',
      weights: join(folder, 'teacher.safetensors'),
      imageSize: side,
      batch: 2,
      epochs: [1, 2],
      mode: 'aand',
      seed: 0,
    });
    const plan = planOn(asked, dataset);
    expect(plan.folds).toBe(2);
    {
      await using output = await openRunFolder({ ...plan, test: [] });
      await trainAndTest(engine, plan, dataset, output, interruptSignal());
    }
    const command = new Uint8Array(readFileSync(join(folder, 'out/model.safetensors')));
    const blobs = files.map((path) => new File([readFileSync(path)], path));
    const trained = await Detector.train(small({ good: blobs, name: dataset.name }));
    expect(differing(weightsOf(trained.bytes), weightsOf(command))).toEqual([]);
    const other = await Detector.open(engine, command);
    const { calibrationScores: _, training: own, ...settings } = trained.settings;
    const { calibrationScores: __, training: theirs, ...expected } = other.settings;
    expect(settings).toEqual(expected);
    expect(own).toEqual({ ...theirs, weights: 'teacher' });
    await trained.detector.close();
    await other.close();
  });
});

describe('what comes out', () => {
  test('is ready to predict, and the file opens to the same detector', async () => {
    const trained = await Detector.train(small());
    const prediction = await trained.detector.predict(files[0] as string);
    expect(prediction).toMatchObject({ width: side, anomalous: false });
    const opened = await Detector.open(engine, trained.bytes);
    expect(await opened.predict(files[0] as string)).toEqual(prediction);
    expect(trained).toMatchObject({
      learned: 5,
      metrics: null,
      judged: { good: 5, falseAlarms: 0, bad: 0, missed: 0 },
      findings: { headline: expect.stringContaining('no bad part was tested') },
      settings: { image: { evidence: { good: 5, flagged: 0, from: 'left-out' } } },
    });
    expect(trained.history.stage2).toHaveLength(2);
    await opened.close();
    await trained.detector.close();
    await expect(engine.read(engine.createBuffer('still open', 16))).resolves.toHaveLength(4);
  });

  test('of few good images and bad ones: the limit is of good ones alone, metrics are of both', async () => {
    const { settings, metrics, judged, detector } = await Detector.train(small({ bad: bad(3) }));
    expect(settings.image?.rule).toBe('largest score of 5 good images that were left out in turn');
    expect(judged).toMatchObject({ good: 5, falseAlarms: 0, bad: 3 });
    expect(metrics?.auroc).toBeGreaterThanOrEqual(0);
    await detector.close();
  });

  test('of many good images and bad ones: good ones are held out, and the limit has the best F1', async () => {
    const good = Array.from({ length: 33 }, (_, i) => picture(i, side));
    const { settings, metrics, judged, learned, detector } = await Detector.train(
      small({ good, bad: bad(4), batch: 16, epochs: [1, 1] }),
    );
    expect(settings.image?.rule).toBe('F1-max on the test set');
    expect(learned).toBeLessThan(33);
    expect(judged.good).toBe(33 - learned);
    expect(judged.bad).toBe(4);
    expect(metrics).not.toBeNull();
    await detector.close();
  });

  test('with tiles, a foreground and copies', async () => {
    const good = [0, 1, 2].map((i) => picture(i, 96));
    const { settings, learned, detector } = await Detector.train(
      small({
        good,
        tiling: { size: 64, overlap: 8 },
        foreground: 'disc',
        augment: ['flips'],
        holdOut: 0,
        epochs: [1, 1],
        batch: 16,
      }),
    );
    expect(settings.tiling).toEqual({ size: 64, overlap: 8 });
    expect(settings.training).toMatchObject({ foreground: 'disc', augment: ['flips'] });
    expect(learned).toBe(3);
    expect((await detector.predict(picture(9, 96))).width).toBe(48);
    await detector.close();
  });
});

describe('a region of interest', () => {
  test('is learned, kept and obeyed', async () => {
    const roi = {
      inspect: [
        [
          [0, 0],
          [0.5, 0],
          [0.5, 1],
          [0, 1],
        ],
      ],
      ignore: [],
    } as const;
    const { settings, detector } = await Detector.train(small({ roi, epochs: [1, 1], holdOut: 0 }));
    expect(settings.region).toEqual(roi);
    const { map, inspected } = await detector.predict(files[0] as string);
    expect(inspected?.reduce((sum, value) => sum + value, 0)).toBe((side * side) / 2);
    expect(map.some((value, i) => value !== 0 && !inspected?.[i])).toBe(false);
    await detector.close();
    await expect(
      Detector.train(
        small({
          roi: {
            inspect: [],
            ignore: [
              [
                [0, 0],
                [1, 0],
                [1, 1],
                [0, 1],
              ],
            ],
          },
        }),
      ),
    ).rejects.toThrow(/region/);
  });
});

describe('on the way', () => {
  test('progress names every stage, never falls, and ends at 1', async () => {
    const told: TrainingProgress[] = [];
    const { detector } = await Detector.train(small({ onProgress: (progress) => told.push(progress) }));
    await detector.close();
    expect([...new Set(told.map(({ stage }) => stage))]).toEqual([
      'reading',
      'stage I',
      'stage II',
      'left out 1 of 2, stage I',
      'left out 1 of 2, stage II',
      'left out 1 of 2',
      'left out 2 of 2, stage I',
      'left out 2 of 2, stage II',
      'left out 2 of 2',
      'calibrating',
      'done',
    ]);
    expect(told.filter(({ fraction }, i) => fraction < (told[i - 1]?.fraction ?? 0))).toEqual([]);
    expect(told.at(-1)).toMatchObject({ fraction: 1, remaining: 0 });
  });

  test('a signal stops it in any stage, with its reason as the cause', async () => {
    const reason = new Error('closed the tab');
    for (const stage of ['reading', 'stage I', 'stage II', 'left out 1 of 2', 'calibrating']) {
      const stop = new AbortController();
      const training = Detector.train(
        small({
          signal: stop.signal,
          onProgress: (progress) => {
            if (progress.stage === stage) stop.abort(reason);
          },
        }),
      );
      const error = await training.then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error, stage).toBeInstanceOf(Interrupted);
      expect((error as Error).message).toBe('the training was stopped by its signal');
      expect((error as Error).cause).toBe(reason);
    }
    await expect(Detector.train(small({ signal: AbortSignal.abort() }))).rejects.toThrow(Interrupted);
  });

  test('what a progress callback throws ends it', async () => {
    const onProgress = () => {
      throw new Error('from the page');
    };
    await expect(Detector.train(small({ onProgress }))).rejects.toThrow('from the page');
  });
});

test('an engine of its own is closed with the detector, and where the training fails', async () => {
  const open = vi.spyOn(Engine, 'open');
  const { engine: _, ...options } = small({ epochs: [1, 1] });
  const { detector } = await Detector.train(options);
  const own = await (open.mock.results[0]?.value as Promise<Engine>);
  expect(own.isEnded).toBe(false);
  await detector.close();
  expect(own.isEnded).toBe(true);
  await expect(Detector.train({ ...options, good: [] })).rejects.toThrow('there are no good images');
  const second = await (open.mock.results[1]?.value as Promise<Engine> | undefined);
  expect(second?.isEnded ?? true).toBe(true);
  open.mockRestore();
});

describe('refused before anything is learned', () => {
  test.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
    ['no good images', { good: [] }, /^there are no good images to learn from/],
    ['no list', { good: 'photographs' }, /^expected a list of images, not String$/],
    ['a bad image that is none', { bad: [null] }, /^bad image 1 of 1 is null, not an image/],
    ['a missing file', { good: ['a.png', 'b.png'] }, /^good image \d of 2: [ab]\.png: no such file/],
    ['an unknown backbone', { backbone: 'resnet19' }, /unknown backbone 'resnet19'/],
    [
      'a backbone without its teacher',
      { teacher: undefined },
      /^a teacher is needed for tiny: those that come/,
    ],
    ['a teacher that is none', { teacher: new Uint8Array(9) }, /teacher/],
    ['a size that no network has', { imageSize: 50 }, /^image size 50 is not a multiple of 32/],
    ['a share of 1', { holdOut: 1 }, /^holdOut is 1, expected a share from 0 to below 1$/],
    ['an unknown threshold', { threshold: 'best' }, /^threshold 'best' is not known/],
    ['F1 without bad images', { threshold: 'f1' }, /^the threshold rule f1 needs bad images/],
    ['an unknown foreground', { foreground: 'blue' }, /^foreground rule 'blue' is not known/],
    [
      'a folder of masks',
      { foreground: 'folder:masks' },
      /names a folder of masks, which the command line reads/,
    ],
    ['robust tiles', { robust: true, tiling: { size: 64, overlap: 8 } }, /^robust works on whole images/],
    ['no engine', { engine: {} }, /is no engine/],
  ])('%s', async (_, more, message) => {
    await expect(Detector.train({ ...small(), ...more } as never)).rejects.toThrow(message);
  });
});
