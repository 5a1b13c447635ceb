/** The use cases after a training, through ports that keep everything in memory. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DeviceLostError } from '../src/base/errors.ts';
import type { Dataset } from '../src/data/dataset.ts';
import { reading, UnreadableFiles } from '../src/data/unreadable.ts';
import { Detector } from '../src/detector/detector.ts';
import { readDetector } from '../src/detector/file.ts';
import { groups } from '../src/model/groups.ts';
import {
  correctedScores,
  drawThreshold,
  recalibrated,
  scoreForCalibration,
  thresholdInput,
} from '../src/session/calibrate.ts';
import { throughLosses } from '../src/session/device_losses.ts';
import { fineTune } from '../src/session/fine_tune.ts';
import { silent } from '../src/session/ports.ts';
import { type PredictOne, predictStream } from '../src/session/predict_stream.ts';
import { testDetector } from '../src/session/test_detector.ts';
import { splitGood, type TrainingPlan, variantOf } from '../src/session/training_plan.ts';
import {
  badTest,
  everything,
  goodTest,
  heldOut,
  images,
  reader,
  side,
  sources,
  type TrainedSession,
  train,
  trainedSession,
} from './support/session.ts';
import { picture, sample } from './support/tiny_teacher.ts';

let session: TrainedSession;
beforeAll(async () => {
  session = await trainedSession();
}, 120_000);
afterAll(() => session.engine.close());

describe('images in memory', () => {
  test.each([
    [
      'an unknown one',
      () => reader.resized(sample('other', 'good'), side),
      /other\.png: its image is not in/,
    ],
    ['one of another size', () => reader.resized(train[0] as never, 64), /32 x 32 pixels, expected 64 x 64/],
    ['tiles', () => reader.bands(train[0] as never, async () => 1), /are not cut into tiles/],
  ])('%s is refused by name', async (_, read, message) => {
    await expect(read()).rejects.toThrow(message);
  });
});

test('a test evaluates a model on samples, and leaves out what cannot be read', async () => {
  const unreadable = new UnreadableFiles();
  unreadable.expect(5);
  const broken = sample('broken', 'good');
  const list = [...goodTest, broken, ...badTest];
  const scoring = {
    reader: {
      ...reader,
      resized: (item: typeof broken, size: number) =>
        reading(item.path, async () => {
          if (item === broken) throw new Error('it is cut off');
          return reader.resized(item, size);
        }),
    },
    reporter: silent,
    label: 'testing',
    unreadable,
  };
  const metrics = await testDetector(
    session.engine,
    session.file,
    'model',
    list,
    scoring,
    ({ results, evaluation }) => {
      expect(results.images.map(({ path }) => path)).toEqual(
        list.filter((s) => s !== broken).map((s) => s.path),
      );
      const kept = session.file.settings.calibrationScores.filter(({ source }) => source === 'test');
      expect(results.images.map(({ score }) => score)).toEqual(kept.map(({ score }) => score));
      return evaluation.metrics;
    },
  );
  expect(metrics.image_AUROC).toBeGreaterThanOrEqual(0);
  expect(metrics.pixel_AUROC).toBeNull();
  expect(unreadable.files).toEqual([{ path: 'broken.png', reason: 'it is cut off' }]);
});

describe('calibration', () => {
  const known = [
    { score: 1, anomalous: false, path: 'a', source: 'held-out' },
    { score: 2, anomalous: false, path: 'b', source: 'calibrate' },
    { score: 9, anomalous: false, path: 'c', source: 'train' },
    { score: 5, anomalous: true, path: 'd', source: 'test' },
  ];
  const settings = () => ({ ...session.file.settings, calibrationScores: known });

  test('scores images with the model, and puts them in the place of earlier ones', async () => {
    const scoring = { reader, reporter: silent, label: 'calibrating', unreadable: new UnreadableFiles() };
    const fresh = await scoreForCalibration(session.engine, session.file, 'model', heldOut, scoring);
    expect(fresh.scores.map(({ path, source }) => [path, source])).toEqual([['held3.png', 'calibrate']]);
    const input = thresholdInput(settings(), 'model', { rule: { kind: 'max' }, fresh });
    const drawn = drawThreshold(input);
    expect(drawn).toMatchObject({ good: 1, falseAlarms: 0, metrics: null });
    const after = recalibrated(settings(), drawn, fresh);
    expect(sources(after)).toEqual(['held-out a', 'train c', 'test d', 'calibrate held3.png']);
    expect(after.image?.threshold).toBeGreaterThan(fresh.scores[0]?.score as number);
  });

  test('without images it takes what the model remembers, but not of its training', () => {
    const drawn = drawThreshold(thresholdInput(settings(), 'model', { rule: { kind: 'max' } }));
    expect(drawn.image.rule).toBe('largest score of 2 good images that the model remembers');
    expect(drawn.image).toMatchObject({ min: 1, max: 5 });
    const trained = known.filter(({ source }) => source === 'train');
    const only = thresholdInput({ ...settings(), calibrationScores: trained }, 'm', {
      rule: { kind: 'max' },
    });
    expect(only.scores).toEqual(trained);
  });

  test.each([
    ['no scores', { calibrationScores: [] }, /m holds no calibration scores: give good images/],
    ['no scale of its maps', { calibrationScores: known, pixel: null }, /m has no threshold yet/],
  ])('a model with %s is refused', (_, change, message) => {
    const broken = { ...session.file.settings, ...change };
    expect(() => thresholdInput(broken, 'm', { rule: { kind: 'max' } })).toThrow(message);
  });

  test('corrections replace what is known of an image; both classes give the best F1', () => {
    const marked = [{ name: 'a', anomalous: true, score: 4 }];
    const scores = correctedScores(known, marked);
    expect(scores.map(({ path, source }) => `${path} ${source}`)).toEqual([
      'b calibrate',
      'd test',
      'a corrected',
    ]);
    const drawn = drawThreshold({ scores, goodSource: 'good images' });
    expect(drawn.metrics?.f1Max).toBe(1);
    expect(drawn.image).toMatchObject({ threshold: 4, min: 2, max: 5 });
    const good = scores.filter(({ anomalous }) => !anomalous);
    expect(drawThreshold({ scores: good, goodSource: 'good images' }).image.rule).toBe(
      'at most 0 % false alarms on 1 good images',
    );
  });
});

test('fine-tuning changes the student alone, and keeps the settings that it is given', async () => {
  const settings = { ...session.file.settings, version: 'tuned' };
  const marked = [picture(20, side)];
  const tuned = await readDetector(
    await fineTune(session.engine, session.file, {
      settings,
      marked,
      remembered: [picture(0, side), picture(1, side)],
    }),
    'tuned',
  );
  expect(tuned.settings.version).toBe('tuned');
  const changed = [...tuned.tensors].filter(
    ([name, { values }]) => `${values}` !== `${session.file.tensors.get(name)?.values}`,
  );
  expect(changed.length).toBeGreaterThan(10);
  expect(changed.filter(([name]) => name.startsWith(groups.teacher))).toEqual([]);
  await expect(
    fineTune(session.engine, session.file, { settings, marked: [], remembered: [] }),
  ).rejects.toThrow('there are no marked images');
});

describe('a stream of photographs', () => {
  const fromMemory: PredictOne<(typeof everything)[0]> = async (detector, item) => {
    const image = images.get(item);
    if (!image) return reading(item.path, () => Promise.reject(new Error('no such file')));
    return (await detector.predict([image]))[0] as Awaited<ReturnType<typeof detector.predict>>[0];
  };

  test('is predicted in order, as it comes; unreadable ones are counted', async () => {
    await using detector = await Detector.fromFile(session.engine, session.file);
    const unreadable = new UnreadableFiles({ separate: true });
    const done: number[] = [];
    async function* photographs() {
      yield goodTest[0] as (typeof everything)[0];
      yield sample('gone', 'good');
      yield badTest[0] as (typeof everything)[0];
    }
    const stream = predictStream(detector, photographs(), fromMemory, {
      unreadable,
      onProgress: (count) => done.push(count),
    });
    const seen: string[] = [];
    for await (const { photograph, index, prediction } of stream) {
      seen.push(`${index} ${photograph.path}`);
      const known = session.file.settings.calibrationScores.find(({ path }) => path === photograph.path);
      expect(prediction.score).toBe(known?.score);
    }
    expect(seen).toEqual(['0 good4.png', '2 bad6.png']);
    expect(done).toEqual([1, 2, 3]);
    expect(unreadable.files.map(({ path }) => path)).toEqual(['gone.png']);
  });

  test('ends where it is interrupted, and where a score is no number', async () => {
    await using detector = await Detector.fromFile(session.engine, session.file);
    const controller = new AbortController();
    const unreadable = new UnreadableFiles({ separate: true });
    const seen: number[] = [];
    const run = async (predict: typeof fromMemory) => {
      const ports = { unreadable, signal: controller.signal };
      for await (const { index } of predictStream(detector, everything, predict, ports)) {
        seen.push(index);
        if (index === 1) controller.abort();
      }
    };
    await expect(run(async (...o) => ({ ...(await fromMemory(...o)), score: Number.NaN }))).rejects.toThrow(
      "train0.png: the score is NaN; the model's weights are unusable",
    );
    await expect(run(fromMemory)).rejects.toThrow(/aborted/);
    expect(seen).toEqual([0, 1]);
  });
});

describe('lost devices', () => {
  const lost = () => new DeviceLostError('the device was lost');
  /** Fails as the list says: `further` after an epoch, `stuck` before one; then succeeds. */
  async function through(losses: readonly ('further' | 'stuck')[], signal?: AbortSignal) {
    const rests: number[] = [];
    let tries = 0;
    const result = await throughLosses(
      async (onward) => {
        const loss = losses[tries++];
        if (loss === undefined) return 'done';
        if (loss === 'further') onward();
        throw lost();
      },
      {
        signal,
        onLoss: () => {},
        clock: { now: () => 0, rest: async (milliseconds) => void rests.push(milliseconds) },
      },
    );
    return { result, tries, rests };
  }

  test('the work goes on after a rest, as long as it gets further', async () => {
    expect(await through(['stuck', 'stuck'])).toEqual({ result: 'done', tries: 3, rests: [1500, 1500] });
    expect((await through(['stuck', 'stuck', 'further', 'stuck'])).tries).toBe(5);
  });

  test.each([
    ['three losses in a row', ['stuck', 'stuck', 'stuck'] as const, undefined],
    ['a loss of a work that was stopped', ['further'] as const, AbortSignal.abort()],
  ])('%s end it', async (_, losses, signal) => {
    await expect(through(losses, signal)).rejects.toThrow(DeviceLostError);
  });

  test('other errors end it at once', async () => {
    const onLoss = () => expect.unreachable();
    const work = () => Promise.reject(new Error('a full disk'));
    await expect(throughLosses(work, { onLoss })).rejects.toThrow('a full disk');
  });
});

describe('the good images of a plan', () => {
  const listed = (count: number, test: Dataset['test'] = []): Dataset => ({
    name: 'part',
    format: 'folder',
    folder: 'part',
    train: Array.from({ length: count }, (_, i) => sample(`${i}`, 'good')),
    test,
    warnings: [],
  });
  const split = (count: number, plan: Partial<TrainingPlan>, test?: Dataset['test']) => {
    const { train, heldOut } = splitGood({ seed: 0, ...plan } as TrainingPlan, listed(count, test));
    return [train.length, heldOut.length];
  };

  test.each<[string, number, Partial<TrainingPlan>, Dataset['test'], number]>([
    ['31 are all trained on', 31, {}, [], 31],
    ['with a test set all are trained on', 40, {}, goodTest, 40],
    ['a limit counts before the split', 40, { limit: 5 }, [], 5],
    ['nothing is held out where nobody wants it', 40, { holdOut: 0 }, [], 40],
  ])('%s', (_, count, plan, test, expected) => {
    expect(split(count, plan, test)).toEqual([expected, 0]);
  });

  test('from 32 on some are held out by their names', () => {
    const [trained, held] = split(40, {}) as [number, number];
    expect(trained + held).toBe(40);
    expect(held).toBeGreaterThan(0);
    expect(split(2, { holdOut: 0.01 })).toEqual([1, 1]);
    expect(() => split(1, { holdOut: 0.5 })).toThrow('needs two good images');
  });

  test('tiles and held-out images tell a run from others', () => {
    expect(variantOf({ tiling: { size: 64, overlap: 16 } }, 2)).toBe('tiles 64/16, 2 held out');
    expect(variantOf({ tiling: undefined }, 0)).toBe('');
  });
});
