/** Metrics, thresholds, heat maps. */
import { describe, expect, test } from 'vitest';
import { floatToHalf, halfToFloat } from '../src/base/half.ts';
import { RandomStream } from '../src/base/random.ts';
import { jet } from '../src/eval/colour_maps.ts';
import { TestSet } from '../src/eval/evaluate.ts';
import { MapStore } from '../src/eval/map_store.ts';
import { connectedComponents, descending, rankMetrics } from '../src/eval/metrics.ts';
import { drawPanels } from '../src/eval/panels.ts';
import { PixelEvaluator } from '../src/eval/pixels.ts';
import {
  calibrate,
  isAnomalous,
  maskOf,
  normalizeScore,
  parseThreshold,
  scoreText,
  thresholdFromGood,
} from '../src/eval/thresholds.ts';
import { goldenSet } from './support/shared.ts';

const golden = goldenSet('metrics');

/**
 * Pixel metrics of maps and masks [n, height, width]; `memory` bytes of maps stay in memory, the rest goes to
 * disk.
 */
async function pixelMetrics(
  maps: Float32Array,
  masks: ArrayLike<number>,
  height: number,
  width: number,
  memory = 1e9,
) {
  const store = new MapStore(memory);
  const evaluator = new PixelEvaluator(store);
  const area = height * width;
  for (let start = 0; start < maps.length; start += area) {
    const map = maps.slice(start, start + area);
    const truth = Uint8Array.from({ length: area }, (_, i) => (masks[start + i] ? 1 : 0));
    evaluator.add(await store.add(map), map, truth, height, width);
  }
  const metrics = await evaluator.finish();
  await store.close();
  return metrics;
}

describe('metrics', () => {
  test('the golden metrics are met within 1e-6', async () => {
    const value = (name: string) => golden.get(name)[0] as number;
    const image = rankMetrics(golden.get('scores'), golden.get('labels'));
    expect(Math.abs((image?.auroc ?? Number.NaN) - value('auroc'))).toBeLessThan(1e-6);
    expect(Math.abs((image?.averagePrecision ?? Number.NaN) - value('average_precision'))).toBeLessThan(1e-6);
    expect(Math.abs((image?.f1Max ?? Number.NaN) - value('f1_max'))).toBeLessThan(1e-6);
    expect(Math.abs((image?.f1Threshold ?? Number.NaN) - value('f1_max_threshold'))).toBeLessThan(1e-6);
    const [, height, width] = golden.shape('maps') as [number, number, number];
    const pixel = await pixelMetrics(golden.get('maps'), golden.get('masks'), height, width);
    expect(Math.abs((pixel?.auroc ?? Number.NaN) - value('pixel_auroc'))).toBeLessThan(1e-6);
    expect(Math.abs((pixel?.aupro ?? Number.NaN) - value('aupro_30'))).toBeLessThan(1e-6);
    console.log('golden metrics: 6 of 6 values within 1e-6');
  });

  test('ties count one half', () => {
    const metrics = rankMetrics(new Float32Array([1, 1, 1, 1]), [0, 1, 0, 1]);
    expect(metrics).toMatchObject({ auroc: 0.5, averagePrecision: 0.5, f1Threshold: 1 });
    expect(metrics?.f1Max).toBeCloseTo(2 / 3, 12);
  });

  test('a perfect ranking and its reverse', () => {
    expect(rankMetrics(new Float32Array([0.1, 0.2, 0.8, 0.9]), [0, 0, 1, 1])).toEqual({
      auroc: 1,
      averagePrecision: 1,
      f1Max: 1,
      f1Threshold: Math.fround(0.8),
    });
    expect(rankMetrics(new Float32Array([0.9, 0.8, 0.2, 0.1]), [0, 0, 1, 1])?.auroc).toBe(0);
  });

  test('one class alone has no metric', async () => {
    expect(rankMetrics(new Float32Array([1, 2]), [0, 0])).toBeNull();
    expect(await pixelMetrics(new Float32Array(4), [0, 0, 0, 0], 2, 2)).toBeNull();
  });

  test('NaN scores are refused', () => {
    expect(() => rankMetrics(new Float32Array([1, Number.NaN]), [0, 1])).toThrow('NaN');
  });

  test('the sort order is descending for negative, zero and infinite scores too', () => {
    const random = new RandomStream('sort');
    const scores = Float32Array.from({ length: 1000 }, () => random.normal() * 10 ** random.integer(-20, 20));
    scores.set([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 0, -0], 10);
    const order = descending(scores);
    expect(new Set(order).size).toBe(1000);
    for (let i = 1; i < 1000; i++)
      expect(scores[order[i - 1] as number]).toBeGreaterThanOrEqual(scores[order[i] as number] as number);
  });

  test('components touch at corners and never across images', () => {
    const masks = [1, 0, 0, 1, /* next image */ 1, 1, 0, 0];
    const { sizes, labels } = connectedComponents(masks, 2, 2);
    expect(sizes).toEqual([2, 2]);
    expect([...labels]).toEqual([1, 0, 0, 1, 2, 2, 0, 0]);
  });

  test('AUPRO weighs regions, not pixels', async () => {
    // A large region found and a small one missed: half of the regions are covered at any low false-alarm
    // rate.
    const masks = new Uint8Array(100);
    masks.fill(1, 0, 20);
    masks[99] = 1;
    const maps = new Float32Array(100).fill(0.5);
    maps.fill(1, 0, 20);
    maps[99] = 0;
    expect((await pixelMetrics(maps, masks, 10, 10))?.aupro).toBeCloseTo(0.5, 6);
  });

  test('pixel metrics equal those of one sort over all pixels, with ties, negative values, from memory and from disk', async () => {
    const random = new RandomStream('pixels');
    const [count, side] = [6, 24];
    const masks = Uint8Array.from({ length: count * side * side }, (_, i) =>
      i % 31 < 4 && i > side * side ? 1 : 0,
    );
    // Few distinct values, so that most pixels are tied; some negative, some zeros of both signs.
    const maps = Float32Array.from(
      masks,
      (m) => (Math.round(random.normal() * 4 + 3 * m) / 4) * (random.next() < 0.5 ? 1 : -0),
    );
    const all = rankMetrics(maps, masks);
    const fromMemory = await pixelMetrics(maps, masks, side, side);
    for (const key of ['auroc', 'averagePrecision', 'f1Max', 'f1Threshold'] as const)
      expect(fromMemory?.[key], key).toBeCloseTo(all?.[key] as number, 12);
    expect(await pixelMetrics(maps, masks, side, side, 5000)).toEqual(fromMemory);
  });

  test("RD4AD's overlap per image follows its code", async () => {
    // One row: good pixels 0 to 9, one region of two pixels found at 8.5 and 9.5. Written out: thresholds 0
    // to 9.5 in 200 steps.
    const map = Float32Array.from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8.5, 9.5]);
    const truth = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
    const points: [number, number][] = [];
    for (let i = 0; i < 200; i++) {
      const threshold = (i * 9.5) / 200;
      const above = [...map.keys()].filter((p) => (map[p] as number) > threshold);
      points.push([above.filter((p) => !truth[p]).length / 10, above.filter((p) => truth[p]).length / 2]);
    }
    const kept = points.filter(([rate]) => rate < 0.3).reverse();
    const largest = Math.max(...kept.map(([rate]) => rate));
    let area = 0;
    for (let i = 1; i < kept.length; i++) {
      const [[x0, y0], [x1, y1]] = [kept[i - 1], kept[i]] as [[number, number], [number, number]];
      area += (0.5 * (x1 - x0) * (y0 + y1)) / largest;
    }
    expect((await pixelMetrics(map, truth, 1, 12))?.auproPerImage).toBeCloseTo(area, 12);
  });
});

describe('thresholds', () => {
  const calibration = { threshold: 2, min: 1, max: 5, rule: 'F1-max on the test set' } as const;
  test('0.5 is at the threshold, and the range is clamped', () => {
    expect(normalizeScore(2, calibration)).toBe(0.5);
    expect(normalizeScore(3, calibration)).toBe(0.75);
    expect(normalizeScore(-9, calibration)).toBe(0);
    expect(normalizeScore(99, calibration)).toBe(1);
    expect(isAnomalous(2, calibration)).toBe(true);
    expect(isAnomalous(1.999, calibration)).toBe(false);
  });

  test('a rounded score stays on its side of the limit', () => {
    expect([0.4996, 0.5, 0.4994, 0.5004, 0, 1].map((score) => scoreText(score))).toEqual([
      '0.499',
      '0.500',
      '0.499',
      '0.500',
      '0.000',
      '1.000',
    ]);
    expect(scoreText(0.496, 2)).toBe('0.49');
    expect(scoreText(0.4999, 2)).toBe('0.49');
  });

  const range = { min: 0, max: 9 };
  const scores = [0.5, 1.5, 1, 2];

  test('from good images: largest score, quantile, share of false alarms', () => {
    const find = (text: string) => thresholdFromGood(scores, parseThreshold(text) as never, 'good images');
    // The next 16-bit float above 2.
    expect(find('max')).toEqual({ threshold: 2 + 2 ** -9, rule: 'largest score of 4 good images' });
    expect(find('quantile:0.5').threshold).toBe(1.25);
    const alarms = (text: string) => scores.filter((score) => score >= find(text).threshold).length;
    expect(alarms('false-alarms:0')).toBe(0);
    expect(alarms('false-alarms:0.25')).toBe(1);
    expect(alarms('false-alarms:0.6')).toBe(2);
    expect(find('false-alarms:0').threshold).toBe(2 + 2 ** -9);
  });

  test('good scores at or below the line are good, for random sets with ties', () => {
    const random = new RandomStream('thresholds');
    for (let i = 0; i < 2000; i++) {
      const n = random.integer(1, 40);
      // A few distinct values, so that many are equal; of any sign and size.
      const levels = Array.from({ length: random.integer(1, 8) }, () =>
        Math.fround(random.uniform(-1, 1) * 10 ** random.integer(-40, 38)),
      );
      const good = Float32Array.from(
        { length: n },
        () => levels[random.integer(0, levels.length - 1)] as number,
      );
      const alarms = (rule: Parameters<typeof thresholdFromGood>[1]) => {
        const { threshold } = thresholdFromGood(good, rule, 'good images');
        expect(Number.isFinite(threshold)).toBe(true);
        return good.filter((score) => isAnomalous(score, { ...calibration, threshold })).length;
      };
      expect(alarms({ kind: 'max' })).toBe(0);
      expect(alarms({ kind: 'quantile', quantile: 1 })).toBe(0);
      const quantile = random.uniform(0.01, 1);
      expect(alarms({ kind: 'quantile', quantile })).toBeLessThanOrEqual(
        n - 1 - Math.floor(quantile * (n - 1)),
      );
      const rate = i % 2 ? random.uniform(0, 0.999) : random.integer(0, n - 1) / n;
      expect(alarms({ kind: 'false-alarms', rate })).toBeLessThanOrEqual(rate * n + 1e-9);
    }
  });

  test('max is the smallest 16-bit float above the largest good score, beyond their range a float32', () => {
    const max = (score: number) =>
      thresholdFromGood([score, score], { kind: 'max' }, 'good images').threshold;
    expect(max(1)).toBe(1 + 2 ** -10);
    expect(max(1.0001)).toBe(1 + 2 ** -10);
    expect(max(0)).toBe(2 ** -24);
    expect(max(-0)).toBe(2 ** -24);
    expect(max(-1)).toBe(-1 + 2 ** -11);
    expect(max(-(2 ** -30))).toBe(-0);
    expect(max(65_503)).toBe(65_504);
    expect(max(65_504)).toBe(65_504 + 2 ** -8);
    expect(max(1e30)).toBe(Math.fround(1e30));
    const random = new RandomStream('above');
    for (let i = 0; i < 2000; i++) {
      const score = Math.fround(random.uniform(0, 2));
      const threshold = max(score);
      expect(threshold).toBeGreaterThan(score);
      expect(threshold - score).toBeLessThan(Math.max(2 ** -24, score * 2 ** -10) * 1.001);
      for (const again of [
        Math.fround(threshold),
        halfToFloat(floatToHalf(threshold)),
        JSON.parse(JSON.stringify(threshold)),
      ])
        expect(again).toBe(threshold);
    }
    expect(thresholdFromGood([1, 2, 3], { kind: 'quantile', quantile: 0.5 }, 'good images').threshold).toBe(
      2 + 2 ** -9,
    );
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => thresholdFromGood([1, bad], { kind: 'max' }, 'good images')).toThrow(
        `a score of good images is ${bad}`,
      );
  });

  test('F1 with ties: equal scores fall on one side together', () => {
    const metrics = rankMetrics(Float32Array.of(3, 2, 2, 2, 1), [1, 1, 0, 1, 0]);
    // At 2 and above: 3 hits and 1 false alarm of 3 defects.
    expect(metrics).toMatchObject({ f1Max: 6 / 7, f1Threshold: 2 });
  });

  test('without a calibration there is no verdict', () => {
    expect(normalizeScore(1, null)).toBeNull();
    expect(isAnomalous(1, null)).toBeNull();
    expect(maskOf(Float32Array.of(0, 1), null)).toBeNull();
    expect(maskOf(Float32Array.of(0, 2, 3), calibration)).toEqual(Uint8Array.of(0, 1, 1));
  });

  test('pixels take the threshold of good images, F1 needs both classes, by hand wins', () => {
    const base = {
      image: null,
      pixel: null,
      good: scores,
      goodSource: 'good images',
      imageRange: range,
      pixelRange: range,
    };
    const { image, pixel } = calibrate({ ...base, rule: { kind: 'max' } });
    expect(pixel.threshold).toBe(image.threshold);
    expect(() => calibrate({ ...base, rule: { kind: 'f1' } })).toThrow('needs good and defective');
    expect(calibrate({ ...base, rule: parseThreshold('value:3,4') })).toMatchObject({
      image: { threshold: 3, rule: 'set by hand' },
      pixel: { threshold: 4 },
    });
  });

  test('rules that make no sense are refused', () => {
    for (const text of ['quantile', 'quantile:2', 'false-alarms:1', 'value:x', 'best', 'f1:3'])
      expect(() => parseThreshold(text), text).toThrow(`threshold '${text}' is not known; there are f1, max`);
  });

  test('equal scores do not divide by zero', () => {
    const flat = { ...calibration, threshold: 1, min: 1, max: 1 };
    expect(normalizeScore(1, flat)).toBe(0.5);
    expect(normalizeScore(2, flat)).toBe(1);
    expect(normalizeScore(0, flat)).toBe(0);
  });
});

describe('evaluate', () => {
  const add = (set: TestSet, defect: string, score: number, truth: Uint8Array | undefined) =>
    set.add(
      { path: 'a', stem: 'a', defect },
      { score, map: new Float32Array(4).fill(score), width: 2, height: 2 },
      truth,
    );

  test('good images only: no metrics', async () => {
    const set = new TestSet();
    await add(set, 'good', 1, new Uint8Array(4));
    await add(set, 'good', 2, new Uint8Array(4));
    const { metrics, imageRange, pixelRange } = await set.evaluate();
    const { intervals, ...values } = metrics;
    expect(Object.values(values).every((value) => value === null)).toBe(true);
    expect(Object.values(intervals)).toEqual([null, null, null]);
    expect([imageRange, pixelRange]).toEqual([
      { min: 1, max: 2 },
      { min: 1, max: 2 },
    ]);
  });

  test('a defect without a mask counts for images, not for pixels', async () => {
    const set = new TestSet();
    await add(set, 'good', 1, new Uint8Array(4));
    await add(set, 'dent', 2, undefined);
    const { metrics } = await set.evaluate();
    expect(metrics.image_AUROC).toBe(1);
    expect(metrics.pixel_AUROC).toBeNull();
    expect(metrics.AUPRO).toBeNull();
  });

  test('labels by mask: an empty mask makes a good image, and is counted', async () => {
    const set = new TestSet('mask');
    await add(set, 'good', 3, new Uint8Array(4));
    await add(set, 'dent', 2, Uint8Array.of(0, 1, 0, 0));
    await add(set, 'dent', 1, new Uint8Array(4));
    const { metrics, relabelled } = await set.evaluate();
    expect(relabelled).toBe(1);
    expect(metrics.image_AUROC).toBe(0.5);
  });

  test('intervals hold the value, repeat, and narrow with more images', async () => {
    const random = new RandomStream('intervals');
    const width = async (count: number) => {
      const set = new TestSet();
      for (let i = 0; i < count; i++)
        await add(
          set,
          i % 2 ? 'dent' : 'good',
          random.normal() + (i % 2 ? 5 : 4),
          i % 2 ? undefined : new Uint8Array(4),
        );
      const { metrics } = await set.evaluate();
      expect((await set.evaluate()).metrics.intervals).toEqual(metrics.intervals);
      const [low, high] = metrics.intervals.image_AUROC as [number, number];
      expect(low).toBeLessThan(metrics.image_AUROC as number);
      expect(high).toBeGreaterThan(metrics.image_AUROC as number);
      return high - low;
    };
    expect(await width(400)).toBeLessThan((await width(40)) / 2);
  });

  test('a score that is no number names its image', async () => {
    await expect(add(new TestSet(), 'good', Number.NaN, undefined)).rejects.toThrow(/a: the score is NaN/);
  });
});

describe('pictures', () => {
  test('JET is blue, green, red at 0, 0.5, 1', () => {
    expect(jet(0)).toEqual([0, 0, 128]);
    expect(jet(0.5)).toEqual([128, 255, 128]);
    expect(jet(1)).toEqual([128, 0, 0]);
  });

  test('four panels with ground truth, three without; the scale does not depend on the image', () => {
    const base = {
      image: { width: 8, height: 8, channels: 3, data: new Uint8Array(192).fill(100) } as const,
      mask: new Uint8Array(64),
      width: 8,
      height: 8,
      score: 1,
      normalizedScore: 0.5,
      anomalous: true,
      scale: { threshold: 1, min: 0, max: 2, rule: 'F1-max on the test set' } as const,
      label: 'dent/000',
    };
    const heat = (level: number) => drawPanels({ ...base, map: new Float32Array(64).fill(level) });
    const pixel = (picture: ReturnType<typeof heat>, x: number, y: number) => [
      ...picture.data.subarray((y * picture.width + x) * 3, (y * picture.width + x) * 3 + 3),
    ];
    const atThreshold = heat(1);
    // The map is drawn in 256 steps, so 0.5 is step 128.
    const middle = jet(128 / 255).map((value) => (100 + value) >> 1);
    expect(pixel(atThreshold, 6 + 262 + 128, 150)).toEqual(middle);
    expect(pixel(heat(0), 6 + 262 + 128, 150)).toEqual([50, 50, (100 + 128) >> 1]);
    const raw = drawPanels({
      ...base,
      map: new Float32Array(64).fill(0.7),
      mask: null,
      normalizedScore: null,
      anomalous: null,
      scale: null,
    });
    // No mask, and the colours span the map's own range: its largest value is the reddest.
    expect(atThreshold.width - raw.width).toBe(262);
    expect(pixel(raw, 6 + 262 + 128, 150)).toEqual(jet(1).map((value) => (100 + value) >> 1));
    const withTruth = drawPanels({ ...base, map: new Float32Array(64), truth: new Uint8Array(64) });
    expect(withTruth.width - atThreshold.width).toBe(262);
  });
});
