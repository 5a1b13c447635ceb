/** What is marked in a map: verdict and outline agree, and metrics know nothing of either. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { scaleOf } from '../src/detector/scale.ts';
import { parseSettings, settingsText } from '../src/detector/settings.ts';
import { markedRegions, visibleMask } from '../src/eval/blobs.ts';
import { TestSet } from '../src/eval/evaluate.ts';
import { countMarks, type MarkRule, markedPixels, type Scale } from '../src/eval/marks.ts';
import { calibrate, isAnomalous, normalizeScore } from '../src/eval/thresholds.ts';
import { settings as someSettings } from './support/model_files.ts';

const side = 12;
const largest = (map: Float32Array) => map.reduce((a, b) => Math.max(a, b));

/** A model's limits and the maps of some images, all of them random: limits lie in any order. */
function drawnModel(seed: number) {
  const random = new RandomStream(seed, 'marks');
  const maps = Array.from({ length: 12 }, () => {
    const height = random.next();
    return Float32Array.from({ length: side * side }, () => height * random.next());
  });
  const limit = (rule: string) => ({ threshold: random.next(), min: 0.2 * random.next(), max: 1, rule });
  return { maps, image: limit('of images'), pixel: limit('of pixels') };
}

const scaled = (model: ReturnType<typeof drawnModel>, marks?: MarkRule) =>
  scaleOf({ ...model, mode: 'aand' }, marks) as Scale;

describe('marks by the limit of the verdict', () => {
  test('an anomalous image has its peak marked, a good one nothing, however the limits lie', async () => {
    const verdicts = { anomalous: 0, good: 0 };
    for (let seed = 0; seed < 200; seed++) {
      const model = drawnModel(seed);
      const scale = scaled(model);
      for (const map of model.maps) {
        const score = largest(map);
        const mask = markedPixels({ score, map }, scale);
        const anomalous = isAnomalous(score, model.image);
        verdicts[anomalous ? 'anomalous' : 'good']++;
        expect(mask.includes(1)).toBe(anomalous);
        expect(mask[map.indexOf(score)]).toBe(Number(anomalous));
        // One scale: the mask is what is shown at 0.5 or above, and the peak is shown as the score.
        expect([...mask]).toEqual([...map].map((value) => Number(normalizeScore(value, scale.map) >= 0.5)));
        const regions = markedRegions({ map, mask, width: side, height: side }, scale.map);
        const peaks = regions.map(({ peak }) => peak);
        expect(Math.max(...peaks, -1)).toBe(anomalous ? normalizeScore(score, scale.score) : -1);
      }
      const counts = await countMarks(
        model.maps.map((map) => ({ score: largest(map), map })),
        scale,
      );
      expect(counts).toMatchObject({ anomalousUnmarked: 0, goodMarked: 0 });
    }
    expect(Math.min(verdicts.anomalous, verdicts.good)).toBeGreaterThan(500);
  });

  test('by the limit of pixels both kinds of disagreement come up: the option gives what it says', async () => {
    const sums = { anomalousUnmarked: 0, goodMarked: 0 };
    for (let seed = 0; seed < 20; seed++) {
      const model = drawnModel(seed);
      const scale = scaled(model, 'pixels');
      for (const map of model.maps)
        expect([...markedPixels({ score: largest(map), map }, scale)]).toEqual(
          [...map].map((value) => Number(value >= model.pixel.threshold)),
        );
      const counts = await countMarks(
        model.maps.map((map) => ({ score: largest(map), map })),
        scale,
      );
      sums.anomalousUnmarked += counts?.anomalousUnmarked ?? 0;
      sums.goodMarked += counts?.goodMarked ?? 0;
    }
    expect(sums.anomalousUnmarked).toBeGreaterThan(0);
    expect(sums.goodMarked).toBeGreaterThan(0);
  });

  test("a memory bank's score is no value of its map: the peak is marked all the same", () => {
    const limit = { threshold: 2, min: 0, max: 4, rule: '' };
    const scale = scaleOf({ image: limit, pixel: limit, mode: 'patchcore' }) as Scale;
    const map = Float32Array.of(0.5, 1.5, 1, 0);
    expect(markedPixels({ score: 2.5, map }, scale)).toEqual(Uint8Array.of(0, 1, 0, 0));
    expect(markedPixels({ score: 1.9, map: Float32Array.of(3, 0) }, scale)).toEqual(Uint8Array.of(0, 0));
  });

  test('a model without a threshold has no scale, no marks and no counts', async () => {
    const scale = scaleOf({ image: null, pixel: null, mode: 'aand' });
    expect(scale).toBeNull();
    expect(markedPixels({ score: 1, map: Float32Array.of(1) }, scale)).toBeNull();
    expect(await countMarks([], scale)).toBeNull();
  });

  test('the scale spans what the calibration saw of images and pixels; its middle is the limit of images', () => {
    const image = { threshold: 0.6, min: 0.5, max: 0.9, rule: 'of images' };
    const pixel = { threshold: 0.8, min: 0.1, max: 0.9, rule: 'of pixels' };
    const scale = scaleOf({ image, pixel, mode: 'aand' }) as Scale;
    expect(scale.map).toBe(scale.score);
    expect(scale.score).toEqual({ threshold: 0.6, min: 0.1, max: 0.9, rule: 'of images' });
    expect(normalizeScore(0.6, scale.score)).toBe(0.5);
    expect(scaleOf({ image, pixel, mode: 'aand', marks: 'pixels' })).toMatchObject({ map: pixel });
  });
});

describe('a mark that one sees', () => {
  test('a region of one pixel is outlined as a square around it, a large one as it is', () => {
    const mask = new Uint8Array(36 * 36);
    mask[10 * 36 + 20] = 1;
    mask[35 * 36 + 35] = 1;
    for (let y = 0; y < 5; y++) mask.fill(1, y * 36, y * 36 + 5);
    const grown = visibleMask({ mask, width: 36, height: 36 });
    const rows = (top: number, left: number) =>
      [0, 1, 2].map((row) => [...grown.subarray((top + row) * 36 + left, (top + row) * 36 + left + 3)]);
    expect(rows(9, 19).flat()).toEqual(Array(9).fill(1));
    expect(grown.reduce((a, b) => a + b, 0)).toBe(9 + 4 + 25);
    expect(mask.reduce((a, b) => a + b, 0)).toBe(27);
  });
});

describe('metrics', () => {
  test('are of raw scores and maps: these of a fixed set are what they were before there were marks', async () => {
    const random = new RandomStream(7, 'metrics');
    const results = new TestSet();
    for (let i = 0; i < 16; i++) {
      const defect = i % 2 ? 'dent' : 'good';
      const truth = new Uint8Array(side * side);
      if (i % 2) truth.fill(1, 14, 20);
      const map = Float32Array.from(truth, (bad) => random.next() + 0.4 * bad);
      const sample = { path: `${i}.png`, stem: String(i), defect };
      await results.add(sample, { score: largest(map), map, width: side, height: side }, truth);
    }
    const { metrics } = await results.evaluate();
    await results.close();
    const { intervals: _, ...values } = metrics;
    expect(values).toMatchInlineSnapshot(`
      {
        "AUPRO": 0.5395611702127658,
        "AUPRO_per_image": 0.5400229327128797,
        "image_AP": 1,
        "image_AUROC": 1,
        "image_F1Max": 1,
        "pixel_AP": 0.4566767359026643,
        "pixel_AUROC": 0.8094895094562647,
        "pixel_F1Max": 0.5882352941176471,
      }
    `);
  });

  test('no file that computes them knows of limits, scales or marks', () => {
    const seen = new Set<string>();
    const walk = (path: string) => {
      if (seen.has(path)) return;
      seen.add(path);
      for (const [, target = ''] of readFileSync(path, 'utf8').matchAll(/from '(\.[^']+)'/g))
        walk(join(dirname(path), target));
    };
    walk('src/eval/evaluate.ts');
    expect([...seen]).toEqual(expect.arrayContaining(['src/eval/pixels.ts', 'src/eval/metrics.ts']));
    for (const path of ['src/eval/marks.ts', 'src/eval/thresholds.ts', 'src/detector/scale.ts'])
      expect([...seen]).not.toContain(path);
  });
});

describe('the rule in a model file', () => {
  test('is kept where it is set, absent where it is not, and refused where it is none of ours', () => {
    const text = (marks?: string) =>
      settingsText({ ...someSettings, ...(marks !== undefined && { marks: marks as MarkRule }) }, 'f');
    expect(parseSettings(text('pixels')).settings.marks).toBe('pixels');
    expect('marks' in parseSettings(text()).settings).toBe(false);
    expect(() => parseSettings(text('peak'))).toThrow(/marks/);
  });

  test('is by pixels where a limit of pixels is given by hand', () => {
    const range = { min: 0, max: 1 };
    const drawn = (image: number, pixel: number) =>
      calibrate({
        rule: { kind: 'value', image, pixel },
        image: null,
        pixel: null,
        good: [],
        goodSource: '',
        imageRange: range,
        pixelRange: range,
      });
    expect(drawn(0.5, 0.7).marks).toBe('pixels');
    expect('marks' in drawn(0.5, 0.5)).toBe(false);
  });
});
