/** Training from few photographs: what the defaults come to, images that are left out in turn, whole runs. */

import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { randomWeights } from '../bench/support/random_weights.ts';
import { augmentTraining } from '../src/data/augment.ts';
import type { Dataset } from '../src/data/dataset.ts';
import { UnreadableFiles } from '../src/data/unreadable.ts';
import { MapRunner } from '../src/detector/map_runner.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { falseAlarmInterval, falseAlarmText } from '../src/eval/false_alarms.ts';
import { thresholdInput } from '../src/session/calibrate.ts';
import { scoreLeftOut } from '../src/session/leave_out.ts';
import { silent } from '../src/session/ports.ts';
import { memoryReader, scoreSamples } from '../src/session/score_samples.ts';
import { trainAndCalibrate } from '../src/session/train_and_calibrate.ts';
import {
  epochsFor,
  fewImages,
  foldsFor,
  holdOutLeast,
  paperSchedule,
  stepsPerEpoch,
  withCopies,
} from '../src/session/training_defaults.ts';
import { type AskedPlan, adaptedTo, splitGood } from '../src/session/training_plan.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import { trainDetector } from '../src/train/train_detector.ts';
import type { SafetensorsFile } from '../src/weights/safetensors.ts';
import { useCommand, useFolder } from './support/command.ts';
import { writeMvtec } from './support/layouts.ts';
import { picture, sample, tinyTeacher } from './support/tiny_teacher.ts';

const side = 32;
const folder = useFolder();
const command = useCommand();
const path = (name: string) => join(folder, name);

describe('the epochs of so many images', () => {
  const counts = Array.from({ length: 1000 }, (_, i) => i + 1);
  const page = { epochs: [20, 30], batch: 8 } as const;

  test.each([
    ['the paper', paperSchedule],
    ['the page', page],
  ])('%s: never more for more images, never fewer steps than of 64', (_, usual) => {
    for (const stage of [0, 1] as const) {
      const epochs = counts.map((n) => epochsFor(n, usual)[stage]);
      expect(epochs.slice(fewImages - 1).every((each) => each === usual.epochs[stage])).toBe(true);
      expect(epochs.every((each, i) => i === 0 || each <= (epochs[i - 1] as number))).toBe(true);
      const least = usual.epochs[stage] * stepsPerEpoch(fewImages, usual.batch);
      const steps = counts.map((n, i) => stepsPerEpoch(n, usual.batch) * (epochs[i] as number));
      expect(Math.min(...steps)).toBe(least);
      // Rounding up adds less than one epoch.
      expect(
        steps.slice(0, fewImages).every((each, i) => each - least < stepsPerEpoch(i + 1, usual.batch)),
      ).toBe(true);
    }
  });

  test('by the table of docs/method.md', () => {
    expect([1, 16, 17, 32, 33, 48, 49, 1000].map((n) => `${epochsFor(n)}`)).toEqual([
      '400,480',
      '400,480',
      '200,240',
      '200,240',
      '134,160',
      '134,160',
      '100,120',
      '100,120',
    ]);
  });

  test('copies are counted as they are made', () => {
    for (const n of [1, 3, 63, 64, 65, 100]) {
      const few = Array.from({ length: n }, () => picture(0, 8));
      const paths = few.map((_, i) => `${i}`);
      const data = { samples: [], images: few, paths, foregrounds: undefined, warnings: [] };
      expect(augmentTraining(data, ['light'], 0).images).toHaveLength(withCopies(n));
    }
  });

  test('one image cannot be left out, from 32 on a share is held out', () => {
    expect(counts.filter((n) => foldsFor(n) > 0)).toEqual(counts.slice(1, holdOutLeast - 1));
    expect(counts.every((n) => foldsFor(n) <= n)).toBe(true);
  });
});

describe('what a plan leaves to the data set', () => {
  const good = (count: number) => Array.from({ length: count }, (_, i) => sample(`${i}`, 'good'));
  const bad = [sample('bad', 'hole')];
  const adapted = (count: number, plan: Partial<AskedPlan> = {}, more: Partial<Dataset> = {}) => {
    const dataset = {
      name: 'part',
      format: 'folder',
      folder: 'part',
      train: good(count),
      test: [],
      warnings: [],
    };
    const asked = { seed: 0, batch: 16, ...plan } as AskedPlan;
    return adaptedTo(asked, { ...dataset, ...more } as Dataset);
  };

  test.each<[string, ReturnType<typeof adapted>, readonly [number, number], number]>([
    ['few', adapted(4), [400, 480], 2],
    ['one', adapted(1), [400, 480], 0],
    ['few, of many by a limit', adapted(500, { limit: 20 }), [200, 240], 2],
    ['many', adapted(500), [100, 120], 0],
    ['a smaller batch', adapted(16, { batch: 4 }), [400, 480], 2],
    ['own epochs', adapted(4, { epochs: [5, 10] }), [5, 10], 2],
    ['own share', adapted(4, { holdOut: 0.5 }), [400, 480], 0],
    ['nothing held out', adapted(4, { holdOut: 0 }), [400, 480], 0],
    ['tiles', adapted(4, { tiling: { size: 64, overlap: 0 } }), [100, 120], 2],
    ['changed copies', adapted(4, { augment: ['light'] }), [100, 120], 2],
    ['a test set of both', adapted(4, {}, { test: [...good(1), ...bad] }), [400, 480], 0],
    ['a test set of defects alone', adapted(4, {}, { test: bad }), [400, 480], 2],
    [
      'a test set, and a rule for good images',
      adapted(4, { threshold: { kind: 'max' } }, { test: [...good(1), ...bad] }),
      [400, 480],
      2,
    ],
    ['a threshold by hand', adapted(4, { threshold: { kind: 'value', image: 1, pixel: 1 } }), [400, 480], 0],
    ["the data set's own validation images", adapted(4, {}, { validation: good(1) }), [400, 480], 0],
  ])('%s', (_, plan, epochs, folds) => {
    expect(plan).toEqual({ epochs, folds });
  });

  test('from 32 images on a tenth is held out, as it was', () => {
    const dataset = { train: good(40), test: [] } as unknown as Dataset;
    const held = splitGood({ seed: 0, limit: undefined, holdOut: undefined }, dataset).heldOut;
    expect(held.length).toBeGreaterThan(0);
    const few = { train: good(31), test: [] } as unknown as Dataset;
    expect(splitGood({ seed: 0, limit: undefined, holdOut: undefined }, few).heldOut).toEqual([]);
  });
});

describe('images that are left out in turn', () => {
  let engine: Engine;
  let teacher: SafetensorsFile;
  const samples = [0, 1, 2].map((i) => sample(`part${i}`, 'good'));
  const images = new Map(samples.map((item, i) => [item, picture(i, side)]));
  const reader = memoryReader(images);
  const training = () => ({
    engine,
    backbone: tinyTeacher,
    mode: 'aand' as const,
    teacher,
    teacherName: 'random weights',
    images: [...images.values()],
    imageNames: samples.map((item) => item.path),
    textures: proceduralTextures(),
    imageSize: side,
    batch: 2,
    epochs: [1, 2] as const,
    seed: 3,
  });
  const scoring = { reader, reporter: silent, unreadable: new UnreadableFiles(), label: 'scoring' };

  beforeAll(async () => {
    engine = await Engine.open();
    teacher = await randomWeights(engine, tinyTeacher);
  });
  afterAll(() => engine.close());

  test('each is judged by a detector that learned the others', async () => {
    const stages = new Set<string>();
    const left = await scoreLeftOut({
      training: training(),
      samples,
      parts: 2,
      onProgress: ({ stage, epochs }) => stages.add(`${stage}: ${epochs}`),
      score: (runner, list, label) => scoreSamples(runner, list, { ...scoring, label }),
    });
    expect([...stages]).toEqual([
      'left out 1 of 2, stage I: 1',
      'left out 1 of 2, stage II: 2',
      'left out 2 of 2, stage I: 1',
      'left out 2 of 2, stage II: 2',
    ]);
    const { images: all, imageNames: names } = training();
    const others = await trainDetector({
      ...training(),
      images: [all[0], all[2]] as typeof all,
      imageNames: [names[0], names[2]] as string[],
    });
    const runner = new MapRunner(engine, others.store, tinyTeacher, 'aand', side);
    const [expected] = await runner.run([all[1] as (typeof all)[0]]);
    await runner.destroy();
    others.store.destroy();
    expect(left.scores.map(({ path: name, source }) => `${source} ${name}`)).toEqual(
      [0, 2, 1].map((i) => `left-out ${samples[i]?.path}`),
    );
    expect(left.scores[2]?.score).toBe(expected?.score);
    expect(left.imageRange.max).toBe(Math.max(...left.scores.map(({ score }) => score)));
  });

  test('copies go with their photograph; files that nobody knows are refused', async () => {
    const copies = { ...training(), images: [...images.values(), picture(0, side)] };
    const names = [...copies.imageNames, samples[0]?.path as string];
    const seen: number[] = [];
    const options = {
      samples,
      parts: 3,
      onProgress: ({ total }: { total: number }) => seen.push(total),
      score: (runner: MapRunner, list: typeof samples, label: string) =>
        scoreSamples(runner, list, { ...scoring, label }),
    };
    await scoreLeftOut({ ...options, training: { ...copies, imageNames: names } });
    expect([...new Set(seen)]).toEqual([2, 3]);
    await expect(
      scoreLeftOut({ ...options, training: { ...copies, imageNames: [...names.slice(1), 'other'] } }),
    ).rejects.toThrow('other of the training images must be the paths of the good images');
  });

  test('the threshold lies above all of them; the model remembers them alone', async () => {
    const { engine: _, ...job } = training();
    const settings = await trainAndCalibrate(
      engine,
      { ...job, samples: { train: samples, heldOut: [], test: [] }, folds: 2 },
      {
        reader,
        unreadable: new UnreadableFiles(),
        describe: () => ({ training: {}, version: 'test' }),
        saveModel: async () => {},
      },
      (outcome) => outcome.settings,
    );
    const scores = settings.calibrationScores.map(({ score }) => score);
    expect(settings.calibrationScores.map(({ source }) => source)).toEqual(Array(3).fill('left-out'));
    expect(settings.image.rule).toBe('largest score of 3 good images that were left out in turn');
    expect(settings.image.evidence).toEqual({ good: 3, flagged: 0, from: 'left-out' });
    expect(settings.image.threshold).toBeGreaterThan(Math.max(...scores));
    expect(settings.image.max).toBeGreaterThanOrEqual(Math.max(...scores));
    expect(thresholdInput(settings, 'model', { rule: { kind: 'max' } }).scores).toHaveLength(3);
  });
});

describe('what few images say of the rate of false alarms', () => {
  test('of images that were left out the lower end is open, the upper end that of a threshold above them', () => {
    for (const good of [1, 2, 3, 30]) {
      const [low, high] = falseAlarmInterval({ good, flagged: 0, from: 'left-out' }) as [number, number];
      expect(low).toBe(0);
      expect(high).toBeCloseTo(1 - 0.025 ** (1 / good), 12);
    }
    expect(falseAlarmText({ good: 2, flagged: 0, from: 'left-out' })).toMatch(
      /^With 2 good images, each judged by a detector that had learned the others, the true rate .* between 0\.0 and 84\.2 %/,
    );
  });

  test('a single image that was trained on cannot be kept apart', () => {
    const text = falseAlarmText({ good: 1, flagged: 0, from: 'trained' });
    expect(text).toContain('The 1 good image of the threshold was trained on');
    expect(text).not.toContain('--hold-out');
    expect(falseAlarmText({ good: 2, flagged: 0, from: 'trained' })).toContain('--hold-out');
  });
});

describe('a training with', () => {
  const quick = ['--backbone', 'resnet18_half', '--image-size', '32', '--epochs', '1,1'];
  const aand = (...args: string[]) => command.run(args, { cwd: folder });
  const metrics = (name: string) => JSON.parse(readFileSync(path(`${name}/metrics.json`), 'utf8'));

  beforeAll(async () => {
    await writeMvtec(folder, 'bolt');
    const files = readdirSync(path('bolt/train/good')).sort();
    for (const count of [1, 2, 3]) {
      mkdirSync(path(`good${count}`));
      for (const name of files.slice(0, count))
        copyFileSync(path(`bolt/train/good/${name}`), path(`good${count}/${name}`));
    }
  });

  test.each([
    [1, /largest score of 1 good training images/, /The 1 good image of the threshold was trained on/],
    [2, /largest score of 2 good images that were left out in turn/, /between 0\.0 and 84\.2 %/],
    [3, /largest score of 3 good images that were left out in turn/, /between 0\.0 and 70\.8 %/],
  ])('%i photographs alone: warns, calibrates, reports, predicts', async (count, rule, text) => {
    const out = `from${count}`;
    const trained = await aand('train', `good${count}`, '--out', out, ...quick);
    expect(trained.code, trained.stderr).toBe(0);
    expect(trained.stderr).toContain(`only ${count} training image${count === 1 ? '' : 's'}`);
    expect(trained.stdout).toMatch(text);
    expect(metrics(out).image_threshold.rule).toMatch(rule);
    expect(metrics(out).settings.epochs).toEqual([1, 1]);
    expect(readFileSync(path(`${out}/report.html`), 'utf8')).toMatch(text);
    const model = `${out}/model.safetensors`;
    const predicted = await aand('predict', model, `good${count}`, '--out', `${out}-p`, '--json');
    expect(predicted.code, predicted.stderr).toBe(0);
    const rows = JSON.parse(predicted.stdout) as { pred_label: string }[];
    expect(rows).toHaveLength(count);
    if (count > 1) return;
    const tested = await aand('test', model, 'bolt', '--out', `${out}-t`);
    expect(tested.code, tested.stderr).toBe(0);
    expect(tested.stdout).toMatch(/good images (is|are) called anomalous/);
  });

  test('one photograph cannot be held out', async () => {
    const { code, stderr } = await aand('train', 'good1', '--out', 'held', '--hold-out', '.5', ...quick);
    expect(code).toBe(2);
    expect(stderr).toContain('--hold-out needs two good images');
  });
});
