/** The region of interest in scores, maps, metrics, thresholds, trainings and ONNX. */
import * as runtime from 'onnxruntime-web';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RegionOfInterest, regionMask, regionPixels } from '../src/data/region.ts';
import { UnreadableFiles } from '../src/data/unreadable.ts';
import { Detector } from '../src/detector/detector.ts';
import { type DetectorFile, readDetector, rewriteDetector } from '../src/detector/file.ts';
import type { DetectorSettings } from '../src/detector/settings.ts';
import type { Engine } from '../src/engine/runtime/engine.ts';
import { markedRegions } from '../src/eval/blobs.ts';
import { TestSet } from '../src/eval/evaluate.ts';
import { colouredMap, heatPicture } from '../src/eval/panels.ts';
import type { Calibration } from '../src/eval/thresholds.ts';
import { exportDetector } from '../src/export/onnx_detector.ts';
import { scoreForCalibration } from '../src/session/calibrate.ts';
import { silent } from '../src/session/ports.ts';
import { memoryReader } from '../src/session/score_samples.ts';
import { suspicionsOf } from '../src/train/suspects.ts';
import { calibration } from './support/model_files.ts';
import {
  heldOut,
  images,
  settingsOf,
  side,
  type TrainedSession,
  train,
  trainedSession,
  trainingOn,
} from './support/session.ts';
import { picture, sample } from './support/tiny_teacher.ts';

const right: RegionOfInterest = {
  inspect: [
    [
      [0.6, 0],
      [1, 0],
      [1, 1],
      [0.6, 1],
    ],
  ],
  ignore: [
    [
      [0.8, 0.8],
      [1, 0.8],
      [1, 1],
    ],
  ],
  mask: regionMask(
    Array.from({ length: 64 }, (_, i) => (i === 7 ? 0 : 1)),
    8,
    8,
  ),
};

let session: TrainedSession;
let engine: Engine;
let file: DetectorFile;
let settings: DetectorSettings;
let regional: Uint8Array;
const pictures = [0, 1, 2].map((i) => picture(i, side, i === 2));

beforeAll(async () => {
  session = await trainedSession();
  engine = session.engine;
  file = session.file;
  settings = file.settings;
  regional = await rewriteDetector(file, { ...settings, region: right });
}, 120_000);
afterAll(() => session.engine.close());

/** Predictions of a model with another calibration. */
async function predict(more: Partial<DetectorSettings> = {}, images = pictures) {
  const bytes = await rewriteDetector(file, { ...settings, ...more });
  await using detector = await Detector.open(engine, bytes);
  return detector.predict(images);
}

describe('predictions', () => {
  test('the score is the largest value in the region; the map is 0 elsewhere, the same bits inside', async () => {
    const [all, part] = [await predict(), await predict({ region: right })];
    const inspected = regionPixels(right, side, side);
    for (const [i, { map, score, inspected: said }] of part.entries()) {
      const before = all[i] as (typeof all)[0];
      expect(before.inspected).toBeUndefined();
      expect(said).toBe((part[0] as (typeof part)[0]).inspected);
      expect(said).toEqual(inspected);
      expect(map).toEqual(before.map.map((value, p) => (inspected[p] ? value : 0)));
      expect(score).toBe(map.reduce((a, b) => Math.max(a, b)));
      expect(score).toBeLessThanOrEqual(before.score);
    }
    expect(part.some(({ score }, i) => score < (all[i]?.score as number))).toBe(true);
  });

  test('what lies outside decides no verdict, is not marked, and is dark in pictures', async () => {
    const [before] = await predict({}, pictures.slice(0, 1));
    if (!before) throw new Error('no prediction');
    const peak = before.map.indexOf(before.score) % side;
    const [from, to] = peak < side / 2 ? [0.75, 1] : [0, 0.25];
    const region: RegionOfInterest = {
      inspect: [
        [
          [from, 0],
          [to, 0],
          [to, 1],
          [from, 1],
        ],
      ],
      ignore: [],
    };
    const all = regionPixels(region, side, side);
    const inside = before.map.filter((_, p) => all[p]).reduce((a, b) => Math.max(a, b));
    const pixel: Calibration = { ...calibration, threshold: (inside + before.score) / 2 };
    const calibrations = { image: pixel, pixel };
    const [plain] = await predict(calibrations, pictures.slice(0, 1));
    expect([plain?.anomalous, plain?.mask?.includes(1)]).toEqual([true, true]);
    const [prediction] = await predict({ ...calibrations, region }, pictures.slice(0, 1));
    if (!prediction) throw new Error('no prediction');
    expect([prediction.anomalous, prediction.mask?.includes(1)]).toEqual([false, false]);
    const shown = { ...prediction, mask: prediction.mask as Uint8Array, scale: pixel };
    expect(markedRegions(shown, pixel)).toEqual([]);
    const image = {
      width: side,
      height: side,
      channels: 3 as const,
      data: new Uint8Array(side * side * 3).fill(200),
    };
    const [heat, colours] = [heatPicture(image, shown), colouredMap(shown)];
    all.forEach((on, p) => {
      const pixels = (of: Uint8Array) => [...of.subarray(3 * p, 3 * p + 3)];
      if (!on)
        expect([pixels(heat.data), pixels(colours.data)]).toEqual([
          [66, 66, 66],
          [64, 64, 64],
        ]);
      else expect(new Set(pixels(colours.data)).size).toBeGreaterThan(1);
    });
  });

  test('of a model with tiles it is the part of the whole image', async () => {
    const tiling = { size: 32, overlap: 8 };
    const wide = { ...picture(5, 96), width: 96, height: 96 };
    const [all] = await predict({ tiling }, [wide]);
    const [part] = await predict({ tiling, region: right }, [wide]);
    const inspected = regionPixels(right, 96, 96);
    expect(part?.map).toEqual(all?.map.map((value, p) => (inspected[p] ? value : 0)));
    expect(part?.score).toBe(part?.map.reduce((a, b) => Math.max(a, b)));
  });

  test('a bank of features scores the largest value of the map, as with tiles', async () => {
    const t = trainingOn(session.teacher, { mode: 'patchcore', coreset: 1, region: right, epochs: [0, 0] });
    await settingsOf(engine, t);
    await using detector = await Detector.open(engine, t.saved[0] as Uint8Array);
    const [prediction] = await detector.predict([picture(9, side, true)]);
    expect(prediction?.score).toBe(prediction?.map.reduce((a, b) => Math.max(a, b)));
    expect(prediction?.score).toBeGreaterThan(0);
  });

  test('an ONNX file has the same pixels and the same score', async () => {
    const onnx = await exportDetector(engine, regional, 'm', { batch: 1, version: '1' });
    runtime.env.wasm.numThreads = 1;
    const graph = await runtime.InferenceSession.create(onnx);
    const [prediction] = await predict({ region: right }, pictures.slice(0, 1));
    const image = new runtime.Tensor('uint8', pictures[0]?.data as Uint8Array, [1, side, side, 3]);
    const { anomaly_map, raw_score } = await graph.run({ image });
    const map = anomaly_map?.data as Float32Array;
    const inspected = regionPixels(right, side, side);
    let largest = 0;
    inspected.forEach((on, p) => {
      if (!on) expect(Math.abs(map[p] as number)).toBe(0);
      largest = Math.max(largest, Math.abs((map[p] as number) - (prediction?.map[p] as number)));
    });
    expect(largest).toBeLessThan(1e-4);
    expect((raw_score?.data as Float32Array)[0]).toBe(map.reduce((a, b) => Math.max(a, b)));
    await graph.release();
  });
});

describe('a test set', () => {
  const inspected = Uint8Array.of(1, 1, 0, 0);
  const result = (...map: number[]) => ({
    score: Math.max(...map.slice(0, 2)),
    map: Float32Array.from(map),
    width: 4,
    height: 1,
  });
  const metricsOf = async (part: boolean, truths: readonly (readonly number[])[]) => {
    const set = new TestSet();
    const maps = [result(0.1, 0.2, 9, 0.3), result(0.8, 0.3, 0.1, 0.2), result(0.2, 0.1, 0.9, 0.8)];
    for (const [i, of] of maps.entries()) {
      const truth = Uint8Array.from(truths[i] ?? [0, 0, 0, 0]);
      const kind = truth.includes(1) ? 'hole' : 'good';
      await set.add(sample(`s${i}`, kind), { ...of, ...(part && { inspected }) }, truth);
    }
    const evaluation = await set.evaluate();
    await set.close();
    return { evaluation, images: set.images };
  };

  test('leaves pixels outside out of every metric and range', async () => {
    const truths = [[], [1, 0, 1, 0], []].map((row) => (row.length ? row : [0, 0, 0, 0]));
    const { evaluation } = await metricsOf(true, truths);
    expect(evaluation.metrics).toMatchObject({ pixel_AUROC: 1, pixel_AP: 1, AUPRO: 1 });
    expect(evaluation.pixelRange.max).toBe(Math.fround(0.8));
    const all = await metricsOf(false, truths);
    expect(all.evaluation.metrics.pixel_AUROC).toBeLessThan(0.6);
    expect(all.evaluation.pixelRange.max).toBe(9);
  });

  test('an image whose defect lies outside alone counts as good', async () => {
    const truths = [
      [0, 0, 0, 0],
      [1, 0, 0, 0],
      [0, 0, 1, 1],
    ];
    const { evaluation, images } = await metricsOf(true, truths);
    expect(images.map(({ anomalous }) => anomalous)).toEqual([false, true, false]);
    expect([evaluation.outside, evaluation.relabelled, evaluation.metrics.image_AUROC]).toEqual([1, 0, 1]);
    const all = await metricsOf(false, truths);
    expect(all.images.map(({ anomalous }) => anomalous)).toEqual([false, true, true]);
    expect(all.evaluation.outside).toBe(0);
  });
});

describe('trainings and calibrations', () => {
  test('thresholds come from scores in the region, and the model keeps it', async () => {
    const samples = { train, heldOut, test: [] };
    const t = trainingOn(session.teacher, { mode: 'rd', epochs: [1, 1], samples, region: right });
    const settings = await settingsOf(engine, t);
    expect(settings.region).toEqual(right);
    const bytes = t.saved[0] as Uint8Array;
    const { region: _, ...without } = settings;
    const opened = await readDetector(bytes, 'm');
    await using detector = await Detector.open(engine, bytes);
    await using plain = await Detector.open(engine, await rewriteDetector(opened, without));
    const held = images.get(heldOut[0] as (typeof heldOut)[0]) as ReturnType<typeof picture>;
    const [part] = await detector.predict([held]);
    const [all] = await plain.predict([held]);
    expect(settings.calibrationScores.map(({ score }) => score)).toEqual([part?.score]);
    expect(all?.score).toBeGreaterThan(part?.score as number);
    expect(part?.anomalous).toBe(false);
  });

  test('images left out in turn are judged in the region', async () => {
    const samples = { train, heldOut: [], test: [] };
    const more = { mode: 'rd', epochs: [1, 1], samples, folds: 3 } as const;
    const [all, part] = [
      await settingsOf(engine, trainingOn(session.teacher, more)),
      await settingsOf(engine, trainingOn(session.teacher, { ...more, region: right })),
    ];
    expect(part.calibrationScores.map(({ source }) => source)).toEqual(Array(3).fill('left-out'));
    const sum = ({ calibrationScores: scores }: DetectorSettings) =>
      scores.reduce((total, { score }) => total + score, 0);
    expect(sum(part)).toBeLessThan(sum(all));
  });

  test('a region that inspects nothing is refused before anything is trained', async () => {
    const nothing = {
      inspect: [],
      ignore: [
        [
          [0, 0],
          [1, 0],
          [1, 1],
          [0, 1],
        ],
      ],
    } as unknown as RegionOfInterest;
    await expect(settingsOf(engine, trainingOn(session.teacher, { region: nothing }))).rejects.toThrow(
      'leaves no pixel to inspect at 32 x 32 pixels',
    );
  });

  test('a calibration scores in the region', async () => {
    const good = [sample('a', 'good')];
    const reader = memoryReader(new Map([[good[0] as (typeof good)[0], picture(1, side)]]));
    const opened = await readDetector(regional, 'm');
    const options = { reader, reporter: silent, unreadable: new UnreadableFiles(), label: 'calibrating' };
    const { scores, pixelRange } = await scoreForCalibration(engine, opened, 'm', good, options);
    const [prediction] = await predict({ region: right }, [picture(1, side)]);
    expect(scores[0]?.score).toBe(prediction?.score);
    expect(pixelRange.max).toBe(prediction?.score);
    expect(pixelRange.min).toBeGreaterThan(0);
  });

  test('patches outside make no suspect', () => {
    const near = [
      [Float32Array.of(0, 0, 0, 9)],
      [Float32Array.of(0, 2, 0, 0)],
      [Float32Array.of(0, 0, 0, 0)],
    ];
    const form = { neighbours: [1], off: 'own mean', patches: 1 } as const;
    const scores = (counted?: Uint8Array) => suspicionsOf(near, 4, form, counted).map(({ score }) => score);
    expect(scores()).toEqual([6.75, 1.5, 0]);
    expect(scores(Uint8Array.of(1, 1, 0, 0))).toEqual([0, 1, 0]);
  });
});
