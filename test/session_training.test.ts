/** The use case that trains and calibrates, through ports that keep everything in memory. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Interrupted } from '../src/base/errors.ts';
import { Detector } from '../src/detector/detector.ts';
import type { Image } from '../src/image/image.ts';
import { type CurvePoint, curveCsv, curveJson, curveNote } from '../src/session/learning_curve.ts';
import { silent } from '../src/session/ports.ts';
import type { SampleReader } from '../src/session/score_samples.ts';
import {
  type TrainingJob,
  type TrainingPorts,
  trainAndCalibrate,
} from '../src/session/train_and_calibrate.ts';
import type { CheckpointStorage } from '../src/train/checkpoint.ts';
import type { Run } from '../src/train/run.ts';
import {
  badTest,
  goodTest,
  heldOut,
  images,
  reader,
  settingsOf as settingsOn,
  side,
  sources,
  type TrainedSession,
  train,
  trainedSession,
  trainingOn,
} from './support/session.ts';
import { picture } from './support/tiny_teacher.ts';
import { memory } from './support/trainings.ts';

let session: TrainedSession;
beforeAll(async () => {
  session = await trainedSession();
}, 120_000);
afterAll(() => session.engine.close());

const training = (more?: Partial<TrainingJob>, ports?: Partial<TrainingPorts>) =>
  trainingOn(session.teacher, more, ports);
const settingsOf = (t: ReturnType<typeof training>) => settingsOn(session.engine, t);

const image = (point: CurvePoint | undefined) => {
  const { image_AUROC, pixel_AUROC, AUPRO } = point?.detector ?? {};
  return [image_AUROC, pixel_AUROC, AUPRO].join(',');
};

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
    const runner = await trainAndCalibrate(session.engine, t.job, t.ports, async (outcome) => {
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
    expect(sources(session.file.settings)).toEqual([
      'test good4.png',
      'test good5.png',
      'test bad6.png',
      'test bad7.png',
      'held-out held3.png',
    ]);
    expect(session.file.settings.image?.rule).toBe('F1-max on the test set');
    await using detector = await Detector.open(session.engine, session.bytes);
    const [prediction] = await detector.predict([images.get(badTest[0] as (typeof badTest)[0]) as Image]);
    expect(prediction?.score).toBe(session.file.settings.calibrationScores[2]?.score);
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
      trainAndCalibrate(session.engine, job, ports, ({ curve, evaluation }) => ({ curve, evaluation }));

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
      await expect(trainAndCalibrate(session.engine, other.job, moved, () => {})).rejects.toThrow(
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
