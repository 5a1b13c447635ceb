/** Trainings that draw every image anew in each epoch, their thresholds, and models under corruptions. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type CorruptionRow,
  corruptionSection,
  measureCorruptions,
  readResult,
} from '../bench/learning/corruptions.ts';
import { randomWeights } from '../bench/support/random_weights.ts';
import { Interrupted } from '../src/base/errors.ts';
import { RandomStream } from '../src/base/random.ts';
import { provenance } from '../src/cli/provenance.ts';
import { planTraining, type TrainCommandOptions } from '../src/cli/training_options.ts';
import { type Augmentation, robustChanges } from '../src/data/augment.ts';
import { UnreadableFiles } from '../src/data/unreadable.ts';
import { readDetector } from '../src/detector/file.ts';
import type { DetectorSettings } from '../src/detector/settings.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { registerBackbone } from '../src/model/backbones.ts';
import type { StudentMethod } from '../src/model/method.ts';
import { methodNamed } from '../src/model/methods.ts';
import { drawThreshold, scoreForCalibration, thresholdInput } from '../src/session/calibrate.ts';
import { changedLooks, changedReader } from '../src/session/changed_images.ts';
import { silent } from '../src/session/ports.ts';
import { memoryReader } from '../src/session/score_samples.ts';
import {
  type TrainingJob,
  type TrainingPorts,
  trainAndCalibrate,
} from '../src/session/train_and_calibrate.ts';
import { splitGood } from '../src/session/training_plan.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import { batchesOf } from '../src/train/batches.ts';
import type { CheckedOptions } from '../src/train/check_options.ts';
import { trainDetector } from '../src/train/train_detector.ts';
import type { SafetensorsFile } from '../src/weights/safetensors.ts';
import { writeImage } from './support/layouts.ts';
import { picture, sample, tinyTeacher } from './support/tiny_teacher.ts';
import { memory } from './support/trainings.ts';

const side = 32;
const folder = mkdtempSync(join(tmpdir(), 'aand-robust-'));
const train = [0, 1, 2].map((i) => sample(`train${i}`, 'good'));
const heldOut = [3, 4].map((i) => sample(`held${i}`, 'good'));
const test_ = [sample('good5', 'good'), sample('bad6', 'hole')];
const images = new Map(
  [...train, ...heldOut, ...test_].map((item, i) => [item, picture(i, side, item.defect === 'hole')]),
);

let engine: Engine;
let teacher: SafetensorsFile;
beforeAll(async () => {
  registerBackbone(tinyTeacher);
  engine = await Engine.open();
  teacher = await randomWeights(engine, tinyTeacher);
}, 120_000);
afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
});

function jobOf(more: Partial<TrainingJob> = {}): TrainingJob {
  return {
    backbone: tinyTeacher,
    mode: 'aand',
    teacher,
    teacherName: 'random weights',
    images: train.map((item) => images.get(item) as ReturnType<typeof picture>),
    foregrounds: undefined,
    textures: proceduralTextures(),
    imageSize: side,
    batch: 2,
    epochs: [1, 2],
    seed: 3,
    samples: { train, heldOut, test: [] },
    robust: robustChanges,
    ...more,
  };
}

/** A training in memory: the model's settings and its bytes. */
async function trained(more: Partial<TrainingJob> = {}, ports: Partial<TrainingPorts> = {}) {
  const saved: Uint8Array[] = [];
  const settings = await trainAndCalibrate<DetectorSettings>(
    engine,
    jobOf(more),
    {
      reader: memoryReader(images),
      unreadable: new UnreadableFiles(),
      describe: ({ history }) => ({
        training: { history, robust: 'robust' in more ? more.robust : robustChanges },
        version: 'test',
      }),
      saveModel: async (model) => void saved.push(model),
      ...ports,
    },
    ({ settings }) => settings,
  );
  return { settings, bytes: Buffer.from(saved[0] as Uint8Array) };
}

describe('what the steps see', () => {
  const pixels = async (stage: 1 | 2, items: readonly number[], epoch: number, seed = 3) => {
    const method = methodNamed('aand') as StudentMethod;
    const options = { ...jobOf({ seed }), engine } as CheckedOptions;
    const part = method.stages.find(({ number }) => number === stage);
    const batches = batchesOf(part as NonNullable<typeof part>, method, options, undefined as never);
    expect(batches.cached).toBe(false);
    const inputs = await batches.inputs(Uint32Array.from(items), epoch, 1, 0.005);
    const words = inputs.pixels as Uint32Array;
    const each = words.length / items.length;
    return items.map((_, i) => [...words.subarray(i * each, (i + 1) * each)]);
  };

  test.each([1, 2] as const)('in stage %i an image changes by seed, epoch and place alone', async (stage) => {
    const [one] = await pixels(stage, [1], 0);
    const [, again] = await pixels(stage, [2, 1, 0], 0);
    expect(again).toEqual(one);
    expect((await pixels(stage, [1], 1))[0]).not.toEqual(one);
    expect((await pixels(stage, [1], 0, 4))[0]).not.toEqual(one);
    expect((await pixels(stage, [0], 0))[0]).not.toEqual(one);
    expect((await pixels(stage === 1 ? 2 : 1, [1], 0))[0]).not.toEqual(one);
  });
});

describe('a robust training', () => {
  test('is another one than a plain one, and resumes to the same bytes', async () => {
    const stores = () => ({ stage1: memory(), stage2: memory() });
    const whole = await trained({}, { checkpoint: stores() });
    const plain = await trained({ robust: undefined });
    expect(whole.bytes.equals(plain.bytes)).toBe(false);
    for (const stopAfter of [1, 2]) {
      const controller = new AbortController();
      const checkpoint = stores();
      let epochs = 0;
      const stopping: TrainingPorts['reporter'] = {
        ...silent,
        training: ({ images, total }) => {
          if (images === total && ++epochs === stopAfter) controller.abort();
        },
      };
      const stopped = trained({}, { checkpoint, signal: controller.signal, reporter: stopping });
      await expect(stopped).rejects.toThrow(Interrupted);
      await expect(trained({ robust: undefined }, { checkpoint, resume: true })).rejects.toThrow(
        /changes in every epoch was \["shifts".*\] and is now null/,
      );
      const resumed = await trained({}, { checkpoint, resume: true });
      expect(resumed.bytes.equals(whole.bytes)).toBe(true);
    }
  });

  test('draws its threshold from held-out images, each by the highest of itself and its copies', async () => {
    const labels: string[] = [];
    const reporter = {
      ...silent,
      counting: (label: string) => (done: number) => void (done === 2 && labels.push(label)),
    };
    const { settings } = await trained({ samples: { train, heldOut, test: test_ } }, { reporter });
    expect(settings.image?.rule).toBe(
      'largest score of 2 held-out good images, each by its highest of itself and 4 changed copies',
    );
    expect(labels.filter((label) => label.includes('changed copy'))).toHaveLength(changedLooks);
    const known = (source: string) => settings.calibrationScores.filter((score) => score.source === source);
    // What the model remembers is of the images as they are.
    expect([known('test').length, known('held-out').length]).toEqual([2, 2]);
    const plain = Math.max(...known('held-out').map(({ score }) => score));
    expect(settings.image?.threshold).toBeGreaterThan(plain);
    expect(settings.image?.evidence).toEqual({ good: 2, flagged: 0, from: 'drawn' });
    const f1 = await trained({ samples: { train, heldOut, test: test_ }, threshold: { kind: 'f1' } });
    expect(f1.settings.image?.rule).toBe('F1-max on the test set');
  });

  test('is calibrated anew in the same way, from images that are remembered as they are', async () => {
    const file = await readDetector((await trained()).bytes, 'model');
    const scoring = { reader: memoryReader(images), unreadable: new UnreadableFiles(), reporter: silent };
    const score = (settings: Partial<DetectorSettings['training']>) =>
      scoreForCalibration(
        engine,
        { ...file, settings: { ...file.settings, training: settings } },
        'model',
        [...train, test_[1] as (typeof test_)[0]],
        { ...scoring, label: 'calibrating' },
      );
    const fresh = await score({ robust: ['noise', 'rust', 7] });
    const good = fresh.scores.filter(({ anomalous }) => !anomalous).map(({ score }) => score);
    expect(good).toHaveLength(train.length);
    expect(fresh.highest).toHaveLength(train.length);
    good.forEach((score, i) => {
      expect(fresh.highest?.[i]).toBeGreaterThanOrEqual(score);
    });
    const input = thresholdInput(file.settings, 'model', { rule: { kind: 'max' }, fresh });
    const { image } = drawThreshold(input);
    expect(image.rule).toBe(
      'largest score of 3 good images, each by its highest of itself and 4 changed copies',
    );
    expect(image.threshold).toBeGreaterThan(Math.max(...(fresh.highest ?? [])));
    const f1 = thresholdInput(file.settings, 'model', { rule: { kind: 'f1' }, fresh });
    expect(f1.highest).toBeUndefined();
    expect((await score({})).highest).toBeUndefined();
  });

  test('a bank has no epochs: it is refused', async () => {
    const options = { ...jobOf({ mode: 'patchcore' }), engine };
    await expect(trainDetector(options)).rejects.toThrow(
      "images cannot change from epoch to epoch: 'patchcore' trains no student",
    );
  });
});

describe('the option --robust', () => {
  const options: TrainCommandOptions = {
    out: join(folder, 'run'),
    mode: 'aand',
    seed: 0,
    backbone: 'resnet18',
    imageSize: side,
    batch: 2,
    epochs: [1, 1],
    robust: true,
  };

  test('names its changes in the plan, and holds images out although there is a test set', async () => {
    const plan = await planTraining(options);
    expect(plan.robust).toEqual(robustChanges satisfies readonly Augmentation[]);
    const good = Array.from({ length: 40 }, (_, i) => sample(`good${i}`, 'good'));
    const dataset = { name: 'x', folder, format: 'mvtec', train: good, test: test_, warnings: [] } as const;
    expect(splitGood(plan, dataset).heldOut.length).toBeGreaterThan(0);
    expect(splitGood(await planTraining({ ...options, robust: false }), dataset).heldOut).toEqual([]);
  });

  test('does not go with a bank, nor with tiles', async () => {
    await expect(planTraining({ ...options, mode: 'patchcore' })).rejects.toThrow(
      /patchcore has none: its bank learns changed copies with --augment shifts,tilts/,
    );
    await expect(planTraining({ ...options, tile: 64 })).rejects.toThrow('--robust works on whole images');
  });
});

test('a changed reader moves masks with their images, and refuses tiles', async () => {
  const reader = memoryReader(images);
  const [item] = train as [(typeof train)[0]];
  const mask = Uint8Array.from({ length: side * side }, (_, i) => (i % side === 5 ? 1 : 0));
  const drawn = () => ({
    change: { placement: { cosine: 1, sine: 0, flip: 1 as const, x: 2, y: 0 } },
    random: new RandomStream(0),
  });
  const changed = changedReader({ ...reader, truth: async () => mask }, drawn);
  const moved = await changed.truth(item, side, side);
  expect([moved?.[3], moved?.[5]]).toEqual([1, 0]);
  const before = images.get(item) as ReturnType<typeof picture>;
  const after = await changed.resized(item, side);
  expect([...after.data.subarray(0, 3)]).toEqual([...before.data.subarray(6, 9)]);
  await expect(changed.bands(item, async () => 0)).rejects.toThrow('cannot be changed as a whole');
});

describe('a model under corruptions', () => {
  const category = join(folder, 'product');
  const json = join(folder, 'result.json');
  const model = (kind: string) => join(folder, `${kind}.safetensors`);
  beforeAll(async () => {
    mkdirSync(category, { recursive: true });
    for (let i = 0; i < 3; i++) {
      await writeImage(`${category}/train/good/${i}.png`, picture(i, side));
      await writeImage(`${category}/test/good/${i}.png`, picture(10 + i, side));
      await writeImage(`${category}/test/hole/${i}.png`, picture(20 + i, side, true));
      const hole = Uint8Array.from({ length: side * side }, (_, p) => {
        const [x, y] = [p % side, Math.floor(p / side)];
        return x >= 8 && x < 20 && y >= 8 && y < 20 ? 255 : 0;
      });
      await writeImage(`${category}/ground_truth/hole/${i}_mask.png`, {
        width: side,
        height: side,
        channels: 1,
        data: hole,
      });
    }
    writeFileSync(model('plain'), (await trained({ robust: undefined })).bytes);
    writeFileSync(model('robust'), (await trained()).bytes);
  });

  const measured = (kind: string, strengths: readonly (0 | 4)[]) => {
    const rows: CorruptionRow[] = [];
    const record = provenance('a test', 'a device');
    const options = { strengths, seed: 0, json, onRow: (row: CorruptionRow) => void rows.push(row) };
    return measureCorruptions(engine, model(kind), category, options, record).then((result) => ({
      result,
      rows,
    }));
  };

  test('is measured at each strength; strength 0 is the test set as it is', async () => {
    const { rows } = await measured('plain', [0, 4]);
    expect(rows.map(({ corruption, strength }) => `${corruption} ${strength}`)).toEqual([
      'brightness 0',
      ...['brightness', 'contrast', 'white balance', 'blur', 'noise', 'shift', 'rotation'].map(
        (x) => `${x} 4`,
      ),
    ]);
    for (const { image_AUROC, pixel_AUROC, false_alarms, missed } of rows)
      for (const value of [image_AUROC, pixel_AUROC, false_alarms, missed]) {
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThanOrEqual(1);
      }
    const [none, ...others] = rows.map(({ corruption: _, strength: __, ...figures }) =>
      JSON.stringify(figures),
    );
    expect(others.some((figures) => figures !== none)).toBe(true);
    // What is there is taken, the rest is measured: a row that was made up stays.
    const kept = readResult(json);
    const made = kept.rows.map((row, i) => (i === 3 ? { ...row, missed: 0.125 } : row)).slice(0, 5);
    writeFileSync(json, JSON.stringify({ ...kept, rows: made }));
    const again = await measured('plain', [0, 4]);
    expect(again.rows).toEqual([...made, ...rows.slice(5)]);
    await expect(measured('robust', [0])).rejects.toThrow('is of another model');
  });

  test('stands beside the robust one in a section of the results', () => {
    const plain = readResult(json);
    const rows = plain.rows.map((row) => ({ ...row, image_AUROC: 0.75, missed: null }));
    const robust = { ...plain, robust: true, rows: rows.reverse() };
    const section = corruptionSection(plain, robust);
    expect(section.rows.map(([name]) => name)).toEqual([
      'none',
      'brightness 1.5 times',
      'contrast 1.5 times',
      'white balance 1.3 times',
      'blur 2 pixels',
      'noise 16 of 255',
      'shift 8 % of the side',
      'rotation 10 degrees',
    ]);
    for (const row of section.rows) {
      expect(row).toHaveLength(section.heads.length);
      expect([row[5], row[8]]).toEqual([75, null]);
    }
    expect(section.rows[0]?.[1]).toBe(100 * (plain.rows[0]?.image_AUROC ?? Number.NaN));
    expect(section.about[0]).toContain('3 good, 3 defective');
    expect(() => corruptionSection(robust, plain)).toThrow('the first file has to be of a plain');
    expect(() => corruptionSection(plain, { ...robust, good: 4 })).toThrow('of different test sets');
  });
});
