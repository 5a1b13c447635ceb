/** The use cases, through ports that keep everything in memory. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DeviceLostError, Interrupted } from '../src/base/errors.ts';
import type { Dataset } from '../src/data/dataset.ts';
import { reading, UnreadableFiles } from '../src/data/unreadable.ts';
import { Detector } from '../src/detector/detector.ts';
import { type DetectorFile, readDetector } from '../src/detector/file.ts';
import type { DetectorSettings } from '../src/detector/settings.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { registerBackbone } from '../src/model/backbones.ts';
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
import { type CurvePoint, curveCsv, curveJson, curveNote } from '../src/session/learning_curve.ts';
import { silent } from '../src/session/ports.ts';
import { type PredictOne, predictStream } from '../src/session/predict_stream.ts';
import { memoryReader, type SampleReader } from '../src/session/score_samples.ts';
import { testDetector } from '../src/session/test_detector.ts';
import {
  type TrainingJob,
  type TrainingPorts,
  trainAndCalibrate,
} from '../src/session/train_and_calibrate.ts';
import { splitGood, type TrainingPlan, variantOf } from '../src/session/training_plan.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import type { CheckpointStorage } from '../src/train/checkpoint.ts';
import type { Run } from '../src/train/run.ts';
import type { SafetensorsFile } from '../src/weights/safetensors.ts';
import { picture, randomWeights, sample, tinyTeacher } from './support/tiny_teacher.ts';
import { memory } from './support/trainings.ts';

const side = 32;
const train = [0, 1, 2].map((i) => sample(`train${i}`, 'good'));
const heldOut = [3].map((i) => sample(`held${i}`, 'good'));
const goodTest = [4, 5].map((i) => sample(`good${i}`, 'good'));
const badTest = [6, 7].map((i) => sample(`bad${i}`, 'hole'));
const everything = [...train, ...heldOut, ...goodTest, ...badTest];
const images = new Map(everything.map((item, i) => [item, picture(i, side, item.defect === 'hole')]));
const reader = memoryReader(images);

let engine: Engine;
let teacher: SafetensorsFile;
let bytes: Uint8Array;
let file: DetectorFile;

const image = (point: CurvePoint | undefined) => {
  const { image_AUROC, pixel_AUROC, AUPRO } = point?.detector ?? {};
  return [image_AUROC, pixel_AUROC, AUPRO].join(',');
};

/** A training on the tiny teacher; what it saves goes into `saved`. */
function training(more: Partial<TrainingJob> = {}, ports: Partial<TrainingPorts> = {}) {
  const saved: Uint8Array[] = [];
  const events: string[] = [];
  const job: TrainingJob = {
    backbone: tinyTeacher,
    mode: 'aand',
    teacher,
    teacherName: 'random weights',
    images: train.map((item) => images.get(item) as ReturnType<typeof picture>),
    imageNames: train.map(({ path }) => path),
    foregrounds: undefined,
    textures: proceduralTextures(),
    imageSize: side,
    batch: 2,
    epochs: [1, 2],
    seed: 3,
    samples: { train, heldOut: [], test: [] },
    ...more,
  };
  const all: TrainingPorts = {
    reader,
    unreadable: new UnreadableFiles(),
    describe: ({ history, bestEpoch }) => ({
      training: { history, ...(bestEpoch && { bestEpoch }) },
      version: 'test',
    }),
    saveModel: async (model) => {
      events.push('saved');
      saved.push(model);
    },
    ...ports,
  };
  return { job, ports: all, saved, events };
}

async function settingsOf(t: ReturnType<typeof training>): Promise<DetectorSettings> {
  return trainAndCalibrate(engine, t.job, t.ports, ({ settings }) => settings);
}

const sources = ({ calibrationScores }: DetectorSettings) =>
  calibrationScores.map(({ source, path }) => `${source} ${path}`);

beforeAll(async () => {
  registerBackbone(tinyTeacher);
  engine = await Engine.open();
  teacher = await randomWeights(engine, tinyTeacher);
  const first = training({ samples: { train, heldOut, test: [...goodTest, ...badTest] } });
  await settingsOf(first);
  bytes = first.saved[0] as Uint8Array;
  file = await readDetector(bytes, 'model');
}, 120_000);
afterAll(() => engine.close());

describe('train and calibrate', () => {
  test('tells its progress, keeps the model, and hands over what is open until then', async () => {
    const epochs: string[] = [];
    const t = training(
      {},
      {
        reporter: {
          ...silent,
          training: ({ stage, epoch, images, total, remaining }) => {
            if (images === total) epochs.push(`${stage} ${epoch}`);
            expect(remaining).toBeGreaterThanOrEqual(0);
          },
          counting: (label) => (done, total) => void t.events.push(`${label} ${done}/${total}`),
        },
        afterEpoch: async (runner) => {
          const [shown] = await runner.run([picture(0, side)]);
          t.events.push(`preview of ${shown?.map.length}`);
        },
      },
    );
    const runner = await trainAndCalibrate(engine, t.job, t.ports, async (outcome) => {
      t.events.push('used');
      expect(await outcome.shown.map(0)).toHaveLength(side * side);
      expect(outcome.history.stage2).toHaveLength(2);
      const [again] = await outcome.runner.run([images.get(train[0] as (typeof train)[0])] as never);
      expect(again?.score).toBe(outcome.shown.images[0]?.score);
      return outcome.runner;
    });
    expect(epochs).toEqual(['stage I 0', 'stage II 0', 'stage II 1']);
    expect(t.events).toEqual(['preview of 1024', 'preview of 1024', 'calibrating 3/3', 'saved', 'used']);
    await expect(runner.run([picture(0, side)])).rejects.toThrow('closed');
  });

  test('the saved model opens, and gives the scores that its settings remember', async () => {
    expect(sources(file.settings)).toEqual([
      'test good4.png',
      'test good5.png',
      'test bad6.png',
      'test bad7.png',
      'held-out held3.png',
    ]);
    expect(file.settings.image?.rule).toBe('F1-max on the test set');
    await using detector = await Detector.open(engine, bytes);
    const [prediction] = await detector.predict([images.get(badTest[0] as (typeof badTest)[0])] as never);
    expect(prediction?.score).toBe(file.settings.calibrationScores[2]?.score);
  });

  test.each<[string, Partial<TrainingJob>, string[], RegExp]>([
    [
      'without a test set, from the training images',
      {},
      ['train train0.png', 'train train1.png', 'train train2.png'],
      /^largest score of 3 good training images$/,
    ],
    [
      'from held-out images where there are some',
      { samples: { train, heldOut, test: [] } },
      ['held-out held3.png'],
      /^largest score of 1 held-out good images$/,
    ],
    [
      'from a test set of both classes alone',
      { samples: { train, heldOut: [], test: [...goodTest, ...badTest] } },
      ['test good4.png', 'test good5.png', 'test bad6.png', 'test bad7.png'],
      /^F1-max/,
    ],
    [
      'from good images where the test set has defects alone',
      { samples: { train, heldOut, test: badTest } },
      ['test bad6.png', 'test bad7.png', 'held-out held3.png'],
      /^largest score of 1 held-out/,
    ],
    [
      'from defects with borrowed good images',
      { samples: { train, heldOut, test: badTest, testBorrowsGood: true } },
      ['held-out held3.png', 'held-out bad6.png', 'held-out bad7.png'],
      /^F1-max/,
    ],
    [
      'by hand, without looking at good images',
      {
        samples: { train, heldOut: [], test: badTest },
        threshold: { kind: 'value', image: 0.5, pixel: 0.6 },
      },
      ['test bad6.png', 'test bad7.png'],
      /^set by hand$/,
    ],
  ])('draws the threshold %s', async (_, more, expected, rule) => {
    const settings = await settingsOf(training({ mode: 'rd', epochs: [1, 1], ...more }));
    expect(sources(settings)).toEqual(expected);
    expect(settings.image?.rule).toMatch(rule);
  });

  test('interrupted in either stage, it resumes to the same bytes, and saves nothing before', async () => {
    const whole = training({}, { checkpoint: { stage1: memory(), stage2: memory() } });
    await settingsOf(whole);
    for (const stopAfter of [1, 2]) {
      const controller = new AbortController();
      const checkpoint = { stage1: memory(), stage2: memory() };
      let epochs = 0;
      const stopped = training(
        {},
        {
          checkpoint,
          signal: controller.signal,
          reporter: {
            ...silent,
            training: ({ images, total }) => {
              if (images === total && ++epochs === stopAfter) controller.abort();
            },
          },
        },
      );
      await expect(settingsOf(stopped)).rejects.toThrow(Interrupted);
      expect(stopped.saved).toEqual([]);
      const told: string[] = [];
      const resumed = training(
        {},
        { checkpoint, resume: true, onResume: (stage, history) => told.push(`${stage} ${history.length}`) },
      );
      await settingsOf(resumed);
      expect(told).toEqual(['stage I 1', `stage II ${stopAfter - 1}`]);
      expect(Buffer.compare(resumed.saved[0] as Uint8Array, whole.saved[0] as Uint8Array)).toBe(0);
    }
  });

  test('the epoch that is best on the test set is kept, and belongs to its test set', async () => {
    const storage: CheckpointStorage & { data?: Uint8Array } = memory();
    const checkpoint = { stage1: memory(), stage2: memory() };
    const asked = (digest: string, resume: boolean) =>
      training(
        { samples: { train, heldOut: [], test: [...goodTest, ...badTest] } },
        {
          checkpoint,
          resume,
          epochTests: {
            select: { storage },
            run: async (run) => ({
              ...run,
              inputs: { ...run.inputs, 'the test photographs': { digest: digest.repeat(64) } },
            }),
          },
        },
      );
    const first = await settingsOf(asked('a', false));
    expect(first.training.bestEpoch).toBe(2);
    expect(storage.data?.length).toBeGreaterThan(1000);
    await expect(settingsOf(asked('b', true))).rejects.toThrow(/the test photographs are not those/);
  });

  describe('a curve over the epochs', () => {
    const withTest = {
      samples: { train, heldOut: [], test: [...goodTest, ...badTest] },
      epochs: [2, 3],
    } as const;
    // Their masks are whole images: no reader of memory has others.
    const masked: SampleReader = {
      ...reader,
      truth: async ({ defect }, width, height) =>
        new Uint8Array(width * height).fill(defect === 'good' ? 0 : 1, 0, (width * height) / 2),
    };
    const run = async (described: Run) => ({
      ...described,
      inputs: { ...described.inputs, 'the test photographs': { digest: 'a'.repeat(64) } },
    });
    const curved = (
      every: number,
      ports: Partial<TrainingPorts> = {},
      storage: CheckpointStorage = memory(),
      onPoint = async (_: readonly CurvePoint[]) => {},
    ) =>
      training(withTest, {
        reader: masked,
        checkpoint: { stage1: memory(), stage2: memory() },
        epochTests: { curve: { every, storage, onPoint }, run },
        ...ports,
      });
    const pointsOf = ({ job, ports }: ReturnType<typeof training>) =>
      trainAndCalibrate(engine, job, ports, ({ curve, evaluation }) => ({ curve, evaluation }));

    test('has a point every so many epochs and after the last one; the model is the same without', async () => {
      const plain = training(withTest, { reader: masked });
      await settingsOf(plain);
      const t = curved(2);
      const { curve = [], evaluation } = await pointsOf(t);
      expect(t.saved).toEqual(plain.saved);
      expect(curve.map(({ stage, epoch }) => [stage, epoch])).toEqual([
        [1, 2],
        [2, 2],
        [2, 3],
      ]);
      const { image_AUROC, pixel_AUROC, AUPRO } = evaluation.metrics;
      expect(curve[2]?.detector).toEqual({ image_AUROC, pixel_AUROC, AUPRO });
      expect(curve[2]?.losses.loss).toBeGreaterThan(0);
      const { synthetic, test: tested } = curve[0]?.gates ?? {};
      for (const found of [synthetic, tested]) {
        expect(found?.levels).toHaveLength(3);
        const known = (found?.levels ?? []).filter((area) => area !== null);
        expect(found?.mean).toBeCloseTo(known.reduce((sum, area) => sum + area, 0) / known.length, 12);
      }
      expect(tested?.levels[0]).not.toBeNull();
      const [head, , last] = curveCsv(curve).trimEnd().split('\n');
      expect(head).toMatch(/^stage,epoch,image_AUROC,pixel_AUROC,AUPRO,gate_AUROC_synthetic,/);
      expect(last).toBe(
        `2,2,${image(curve[1])}${','.repeat((head as string).split(',').length - 6)},${curve[1]?.losses.loss}`,
      );
      expect(JSON.parse(curveJson(curve))).toEqual({ note: curveNote, points: curve });
    });

    test('is the same where the training is stopped at the end of a stage, and within one', async () => {
      const whole = curved(1);
      const { curve } = await pointsOf(whole);
      expect(curve).toHaveLength(5);
      for (const stopAt of [2, 3]) {
        const [storage, stage1, stage2] = [memory(), memory(), memory()];
        const kept = { checkpoint: { stage1, stage2 } };
        const stopped = curved(1, kept, storage, async (points) => {
          if (points.length === stopAt) throw new Interrupted();
        });
        await expect(pointsOf(stopped)).rejects.toThrow(Interrupted);
        const resumed = curved(1, { ...kept, resume: true }, storage);
        expect((await pointsOf(resumed)).curve).toEqual(curve);
        expect(resumed.saved).toEqual(whole.saved);
      }
    });

    test('of another test set is refused, and so is a damaged one', async () => {
      const storage: CheckpointStorage & { data?: Uint8Array } = memory();
      const checkpoint = { stage1: memory(), stage2: memory() };
      await pointsOf(curved(5, { checkpoint }, storage));
      const other = curved(5, { checkpoint, resume: true }, storage);
      const moved: TrainingPorts = {
        ...other.ports,
        epochTests: { curve: { every: 5, storage }, run: async (r) => r },
      };
      await expect(trainAndCalibrate(engine, other.job, moved, () => {})).rejects.toThrow(
        /the test photographs of the checkpoint are missing/,
      );
      storage.data = (storage.data as Uint8Array).slice(0, -1);
      await expect(pointsOf(curved(5, { checkpoint, resume: true }, storage))).rejects.toThrow(
        /it is truncated/,
      );
    });
  });

  test('a damaged teacher fails before anything is saved, and leaves nothing open', async () => {
    const t = training({ teacher: { tensors: new Map(), metadata: {} } });
    await expect(settingsOf(t)).rejects.toThrow(/random weights: \d+ tensors are missing/);
    expect(t.saved).toEqual([]);
  });
});

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
  const metrics = await testDetector(engine, file, 'model', list, scoring, ({ results, evaluation }) => {
    expect(results.images.map(({ path }) => path)).toEqual(
      list.filter((s) => s !== broken).map((s) => s.path),
    );
    const kept = file.settings.calibrationScores.filter(({ source }) => source === 'test');
    expect(results.images.map(({ score }) => score)).toEqual(kept.map(({ score }) => score));
    return evaluation.metrics;
  });
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
  const settings = () => ({ ...file.settings, calibrationScores: known });

  test('scores images with the model, and puts them in the place of earlier ones', async () => {
    const scoring = { reader, reporter: silent, label: 'calibrating', unreadable: new UnreadableFiles() };
    const fresh = await scoreForCalibration(engine, file, 'model', heldOut, scoring);
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
    const broken = { ...file.settings, ...change };
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
  const settings = { ...file.settings, version: 'tuned' };
  const marked = [picture(20, side)];
  const tuned = await readDetector(
    await fineTune(engine, file, { settings, marked, remembered: [picture(0, side), picture(1, side)] }),
    'tuned',
  );
  expect(tuned.settings.version).toBe('tuned');
  const changed = [...tuned.tensors].filter(
    ([name, { values }]) => `${values}` !== `${file.tensors.get(name)?.values}`,
  );
  expect(changed.length).toBeGreaterThan(10);
  expect(changed.filter(([name]) => name.startsWith(groups.teacher))).toEqual([]);
  await expect(fineTune(engine, file, { settings, marked: [], remembered: [] })).rejects.toThrow(
    'there are no marked images',
  );
});

describe('a stream of photographs', () => {
  const fromMemory: PredictOne<(typeof everything)[0]> = async (detector, item) => {
    const image = images.get(item);
    if (!image) return reading(item.path, () => Promise.reject(new Error('no such file')));
    return (await detector.predict([image]))[0] as Awaited<ReturnType<typeof detector.predict>>[0];
  };

  test('is predicted in order, as it comes; unreadable ones are counted', async () => {
    await using detector = await Detector.fromFile(engine, file);
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
      const known = file.settings.calibrationScores.find(({ path }) => path === photograph.path);
      expect(prediction.score).toBe(known?.score);
    }
    expect(seen).toEqual(['0 good4.png', '2 bad6.png']);
    expect(done).toEqual([1, 2, 3]);
    expect(unreadable.files.map(({ path }) => path)).toEqual(['gone.png']);
  });

  test('ends where it is interrupted, and where a score is no number', async () => {
    await using detector = await Detector.fromFile(engine, file);
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
