/** Metrics, thresholds, heat maps. */
import { describe, expect, test } from 'vitest';
import { RandomStream } from '../src/engine/random.ts';
import { evaluate } from '../src/eval/evaluate.ts';
import { aupro, connectedComponents, descending, rankMetrics } from '../src/eval/metrics.ts';
import { drawPanels, jet } from '../src/eval/panels.ts';
import { calibrate, isAnomalous, normalizeScore } from '../src/eval/thresholds.ts';
import { goldenSet } from './support/shared.ts';

const golden = goldenSet('metrics');

describe('metrics', () => {
  test.skipIf(!golden)('the golden metrics are met within 1e-6', () => {
    if (!golden) return;
    const value = (name: string) => golden.get(name)[0] as number;
    const image = rankMetrics(golden.get('scores'), golden.get('labels'));
    expect(Math.abs((image?.auroc ?? Number.NaN) - value('auroc'))).toBeLessThan(1e-6);
    expect(Math.abs((image?.averagePrecision ?? Number.NaN) - value('average_precision'))).toBeLessThan(1e-6);
    expect(Math.abs((image?.f1Max ?? Number.NaN) - value('f1_max'))).toBeLessThan(1e-6);
    expect(Math.abs((image?.f1Threshold ?? Number.NaN) - value('f1_max_threshold'))).toBeLessThan(1e-6);
    const [, height, width] = golden.shape('maps') as [number, number, number];
    const pixel = rankMetrics(golden.get('maps'), golden.get('masks'));
    expect(Math.abs((pixel?.auroc ?? Number.NaN) - value('pixel_auroc'))).toBeLessThan(1e-6);
    const overlap = aupro(golden.get('maps'), golden.get('masks'), height, width) ?? Number.NaN;
    expect(Math.abs(overlap - value('aupro_30'))).toBeLessThan(1e-6);
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

  test('one class alone has no metric', () => {
    expect(rankMetrics(new Float32Array([1, 2]), [0, 0])).toBeNull();
    expect(aupro(new Float32Array(4), [0, 0, 0, 0], 2, 2)).toBeNull();
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

  test('AUPRO weighs regions, not pixels', () => {
    // A large region found and a small one missed: half of the regions are covered at any low false-alarm rate.
    const masks = new Uint8Array(100);
    masks.fill(1, 0, 20);
    masks[99] = 1;
    const maps = new Float32Array(100).fill(0.5);
    maps.fill(1, 0, 20);
    maps[99] = 0;
    expect(aupro(maps, masks, 10, 10)).toBeCloseTo(0.5, 6);
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

  test('with good images only it is the largest good score', () => {
    expect(calibrate(new Float32Array([0.5, 1.5, 1]), null)).toEqual({
      threshold: 1.5,
      min: 0.5,
      max: 1.5,
      rule: 'largest score of the good images',
    });
  });

  test('equal scores do not divide by zero', () => {
    const flat = { ...calibration, threshold: 1, min: 1, max: 1 };
    expect(normalizeScore(1, flat)).toBe(0.5);
    expect(normalizeScore(2, flat)).toBe(1);
    expect(normalizeScore(0, flat)).toBe(0);
  });
});

describe('evaluate', () => {
  test('good images only: no metrics, thresholds from them', () => {
    const image = (score: number) => ({
      path: 'a',
      stem: 'a',
      defect: 'good',
      score,
      map: new Float32Array(4).fill(score),
      truth: new Uint8Array(4),
      hasTruth: true,
    });
    const { metrics, image: calibration, pixel } = evaluate([image(1), image(2)], 2);
    expect(Object.values(metrics)).toEqual([null, null, null, null, null, null]);
    expect(calibration.threshold).toBe(2);
    expect(pixel.threshold).toBe(2);
  });

  test('a defect without a mask counts for images, not for pixels', () => {
    const make = (defect: string, score: number, hasTruth: boolean) => ({
      path: 'a',
      stem: 'a',
      defect,
      score,
      map: new Float32Array(4).fill(score),
      truth: new Uint8Array(4),
      hasTruth,
    });
    const { metrics } = evaluate([make('good', 1, true), make('dent', 2, false)], 2);
    expect(metrics.image_AUROC).toBe(1);
    expect(metrics.pixel_AUROC).toBeNull();
    expect(metrics.AUPRO).toBeNull();
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
      size: 8,
      score: 1,
      normalizedScore: 0.5,
      anomalous: true,
      pixel: { threshold: 1, min: 0, max: 2, rule: 'F1-max on the test set' } as const,
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
    const withTruth = drawPanels({ ...base, map: new Float32Array(64), truth: new Uint8Array(64) });
    expect(withTruth.width - atThreshold.width).toBe(262);
  });
});
