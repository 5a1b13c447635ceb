/** The sPRO of MVTec LOCO AD: by its definition, over every threshold; areas from masks; the test set's own. */
import { describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { metricsTable } from '../src/cli/results.ts';
import type { Sample } from '../src/data/dataset.ts';
import { parseSaturation } from '../src/data/saturation.ts';
import { TestSet } from '../src/eval/evaluate.ts';
import { MapStore } from '../src/eval/map_store.ts';
import { type AreaImage, saturatedOverlap } from '../src/eval/saturated_overlap.ts';
import { metricsTable as reportTable } from '../src/report/metrics_table.ts';

const [height, width] = [6, 7];
const size = height * width;

interface Case {
  readonly map: Float32Array;
  readonly areas: AreaImage['areas'];
  readonly inspected?: Uint8Array;
}

/** sPRO as it is defined: at every score as a threshold the rates, then trapezia up to the limit. */
function defined(cases: readonly Case[], limit: number): number | null {
  const counts = ({ inspected }: Case, i: number) => !inspected || inspected[i] === 1;
  const areas = cases.flatMap((each) =>
    each.areas.flatMap(({ pixels, saturation }) => {
      const left = [...pixels].filter((i) => counts(each, i));
      return left.length ? [{ each, pixels: left, saturation: Math.min(saturation, left.length) }] : [];
    }),
  );
  const good = cases.flatMap((each) => {
    const defective = new Set(each.areas.flatMap(({ pixels }) => [...pixels]));
    return [...each.map.keys()]
      .filter((i) => !defective.has(i) && counts(each, i))
      .map((i) => each.map[i] as number);
  });
  if (!areas.length || !good.length) return null;
  const thresholds = [...new Set(cases.flatMap(({ map }) => [...map]))].sort((a, b) => b - a);
  const points = thresholds.map((threshold): [number, number] => {
    const covered = areas.map(({ each, pixels, saturation }) =>
      Math.min(1, pixels.filter((i) => (each.map[i] as number) >= threshold).length / saturation),
    );
    return [
      good.filter((value) => value >= threshold).length / good.length,
      covered.reduce((sum, value) => sum + value, 0) / areas.length,
    ];
  });
  let area = 0;
  let [x, y] = [0, 0];
  for (const [nextX, nextY] of points) {
    const to = Math.min(limit, nextX);
    if (to > x) {
      const end = y + ((nextY - y) * (to - x)) / (nextX - x);
      area += ((to - x) * (y + end)) / 2;
    }
    [x, y] = [nextX, nextY];
  }
  return area / limit;
}

async function measured(cases: readonly Case[], limit: number): Promise<number | null> {
  const maps = new MapStore();
  const images: AreaImage[] = [];
  for (const { map, areas, inspected } of cases)
    images.push({ index: await maps.add(map), areas, inspected });
  const value = await saturatedOverlap(maps, images, limit);
  await maps.close();
  return value;
}

/** Few distinct scores, so that ties are everywhere; areas may overlap. */
function randomCase(random: RandomStream, defects: number, region: boolean): Case {
  const map = Float32Array.from({ length: size }, () => random.integer(-2, 6) / 4);
  const areas = Array.from({ length: defects }, () => {
    const pixels = [...map.keys()].filter(() => random.next() < 0.2);
    const kept = Uint32Array.from(pixels.length ? pixels : [3]);
    return { pixels: kept, saturation: random.uniform(0.3, kept.length) };
  });
  if (!region) return { map, areas };
  return { map, areas, inspected: Uint8Array.from(map, () => (random.next() < 0.7 ? 1 : 0)) };
}

describe('sPRO', () => {
  test.each([0.05, 0.3, 1])('is what its definition gives, to a rate of %f', async (limit) => {
    const random = new RandomStream('sPRO', limit);
    for (let round = 0; round < 20; round++) {
      const region = round % 3 === 0;
      const cases = [2, 0, 1, 3].map((defects) => randomCase(random, defects, region));
      expect(await measured(cases, limit)).toBeCloseTo(defined(cases, limit) as number, 9);
    }
  });

  test('an area counts whole from its saturation on', async () => {
    const map = new Float32Array(size).fill(0, 0).fill(1, 0, 3);
    const pixels = Uint32Array.from({ length: 12 }, (_, i) => i);
    // Three of twelve pixels are above all good ones.
    expect(await measured([{ map, areas: [{ pixels, saturation: 12 }] }], 0.05)).toBeLessThan(0.3);
    expect(await measured([{ map, areas: [{ pixels, saturation: 3 }] }], 0.05)).toBe(1);
    expect(await measured([{ map, areas: [{ pixels, saturation: 2.5 }] }], 0.05)).toBe(1);
  });

  test('there is none without defects, and none without good pixels', async () => {
    const map = new Float32Array(size);
    const all = Uint32Array.from({ length: size }, (_, i) => i);
    expect(await measured([{ map, areas: [] }], 0.05)).toBeNull();
    expect(await measured([{ map, areas: [{ pixels: all, saturation: 1 }] }], 0.05)).toBeNull();
    const inspected = new Uint8Array(size).fill(1, 20);
    const outside = all.slice(0, 5);
    expect(await measured([{ map, areas: [{ pixels: outside, saturation: 1 }], inspected }], 1)).toBeNull();
  });
});

describe('rules of saturation', () => {
  const rule = { defect_name: 'x', pixel_value: 255, saturation_threshold: 800, relative_saturation: false };

  test('are read as they are published', () => {
    const other = { ...rule, pixel_value: 3, saturation_threshold: 0.5, relative_saturation: true };
    expect(parseSaturation(JSON.stringify([rule, other]))).toEqual([
      { value: 255, threshold: 800, relative: false },
      { value: 3, threshold: 0.5, relative: true },
    ]);
  });

  test.each([
    ['{', /not valid JSON/],
    ['{}', /the list: /],
    ['[]', /the list: /],
    [JSON.stringify([rule, { ...rule, pixel_value: 0 }]), /1\.pixel_value: /],
    [JSON.stringify([{ ...rule, saturation_threshold: 0 }]), /0\.saturation_threshold: /],
    [JSON.stringify([{ ...rule, relative_saturation: 'no' }]), /0\.relative_saturation: /],
  ])('%s is refused by name', (text, message) => {
    expect(() => parseSaturation(text)).toThrow(message);
  });
});

describe('a test set with areas', () => {
  const sample = (stem: string, defect: string): Sample => ({ path: `${stem}.png`, stem, defect });
  const add = async (set: TestSet, stem: string, defect: string, score: number, marked?: number) => {
    const map = new Float32Array(size).fill(score / 2).fill(score, 0, 4);
    const truth = new Uint8Array(size).fill(1, 0, marked ?? 0);
    const pixels = Uint32Array.from({ length: marked ?? 0 }, (_, i) => i);
    const areas = marked === undefined ? undefined : [{ pixels, saturation: 2 }];
    await set.add(sample(stem, defect), { score, map, width, height }, truth, areas);
  };

  test('each kind is judged with the good images alone; the mean is of the kinds', async () => {
    const set = new TestSet();
    await add(set, 'a', 'good', 0.5);
    await add(set, 'b', 'good', 0.7);
    await add(set, 'c', 'logical_anomalies', 0.9, 8);
    await add(set, 'd', 'structural_anomalies', 0.6, 8);
    await add(set, 'e', 'structural_anomalies', 0.8, 8);
    const { metrics } = await set.evaluate();
    const { saturated } = metrics;
    await set.close();
    const shown = metricsTable(metrics).split('\n');
    expect(shown.find((line) => line.includes('logical'))).toBe(
      '    logical_anomalies        I-AUROC 100.0  sPRO 100.0',
    );
    expect(shown.filter((line) => line.includes('mean of the kinds'))).toHaveLength(1);
    expect(reportTable(metrics).text).toContain('sPRO, structural_anomalies');
    const { logical_anomalies: logical, structural_anomalies: structural } = saturated?.kinds ?? {};
    expect(logical).toEqual({ image_AUROC: 1, AUsPRO: 1 });
    expect(structural?.image_AUROC).toBe(0.75);
    // One of its two defects lies below the good images' own peaks.
    expect(structural?.AUsPRO).toBeGreaterThan(0.4);
    expect(structural?.AUsPRO).toBeLessThan(1);
    expect(saturated?.image_AUROC).toBe(0.875);
    expect(saturated?.AUsPRO).toBeCloseTo((1 + (structural?.AUsPRO as number)) / 2, 12);
  });

  test('without areas there is no such figure', async () => {
    const set = new TestSet();
    await add(set, 'a', 'good', 0.5);
    const path = { score: 0.9, map: new Float32Array(size), width, height };
    await set.add(sample('c', 'scratch'), path, new Uint8Array(size).fill(1, 0, 3));
    const { metrics } = await set.evaluate();
    expect(metrics).not.toHaveProperty('saturated');
    expect(metricsTable(metrics)).not.toContain('sPRO');
    expect(reportTable(metrics).text).not.toContain('sPRO');
    await set.close();
  });
});
