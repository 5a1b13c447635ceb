/** A test set by lighting or view: metrics, what the command line and the report say. */
import { describe, expect, test } from 'vitest';
import { metricsTable } from '../src/cli/results.ts';
import { byCondition, conditionMetrics } from '../src/eval/conditions.ts';
import { type TestedImage, TestSet } from '../src/eval/evaluate.ts';
import { conditionTable } from '../src/report/image_tables.ts';
import { metricsTable as reportTable } from '../src/report/metrics_table.ts';

type Given = readonly [condition: string | undefined, defect: string, score: number, part?: string];

async function evaluated(given: readonly Given[]) {
  const set = new TestSet();
  for (const [i, [condition, defect, score, part]] of given.entries()) {
    const named = { ...(condition !== undefined && { condition }), ...(part !== undefined && { part }) };
    const sample = { path: `${i}.png`, stem: `${i}`, defect, ...named };
    await set.add(sample, { score, map: new Float32Array(4).fill(score), width: 2, height: 2 }, undefined);
  }
  const { metrics } = await set.evaluate();
  const images: readonly TestedImage[] = set.images;
  await set.close();
  return { metrics, images };
}

// Overexposed images score higher, so that all of them together are told apart worse than each by itself.
const lights: Given[] = [
  ['overexposed', 'good', 0.6],
  ['overexposed', 'bad', 0.9],
  ['regular', 'good', 0.2],
  ['regular', 'good', 0.3],
  ['regular', 'bad', 0.4],
  ['regular', 'bad', 0.25],
];

describe('conditions', () => {
  test('each has its own figures', async () => {
    const { metrics } = await evaluated(lights);
    expect(metrics.conditions).toEqual({
      overexposed: { good: 1, anomalous: 1, image_AUROC: 1 },
      regular: { good: 2, anomalous: 2, image_AUROC: 0.75 },
    });
    const lines = metricsTable(metrics).split('\n');
    expect(lines).toContain('    overexposed              I-AUROC 100.0  1 good, 1 anomalous');
    expect(lines).toContain('    regular                  I-AUROC  75.0  2 good, 2 anomalous');
  });

  test('the report has false alarms and misses of each at the limit', async () => {
    const { metrics, images } = await evaluated(lights);
    const limit = { threshold: 0.5, min: 0.2, max: 0.9, rule: 'set by hand' };
    const cells = (text: string) => [...text.matchAll(/<t[dh][^>]*>([^<]*)/g)].map(([, cell]) => cell);
    const { text } = conditionTable(images, metrics, limit) as { text: string };
    const all = cells(text);
    const row = (name: string, count: number) => all.slice(all.indexOf(name), all.indexOf(name) + count);
    expect(row('lighting or view', 6).at(-1)).toBe('missed');
    expect(row('overexposed', 6)).toEqual(['overexposed', '1', '1', '100.0', '1', '0']);
    expect(row('regular', 6)).toEqual(['regular', '2', '2', '75.0', '0', '2']);
    const without = conditionTable(images, metrics, null) as { text: string };
    expect(without.text).not.toContain('missed');
  });

  test('one kind of image alone has no AUROC; images without a condition are a group', async () => {
    const { metrics } = await evaluated([...lights.slice(0, 2), [undefined, 'good', 0.1]]);
    expect(metrics.conditions).toEqual({
      'not named': { good: 1, anomalous: 0, image_AUROC: null },
      overexposed: { good: 1, anomalous: 1, image_AUROC: 1 },
    });
  });

  test('one condition, or none, is no breakdown', async () => {
    for (const condition of ['regular', undefined]) {
      const { metrics, images } = await evaluated(
        lights.map(([, defect, score]) => [condition, defect, score]),
      );
      expect(metrics).not.toHaveProperty('conditions');
      expect(byCondition(images).size).toBe(0);
      expect(conditionTable(images, metrics, null)).toBe(false);
    }
    expect(conditionMetrics([])).toBeUndefined();
  });

  test('a part has the largest score of its images, and is anomalous where one of them is', async () => {
    const views: Given[] = [
      ['C1', 'good', 0.3, 'OK/S1'],
      ['C2', 'good', 0.5, 'OK/S1'],
      ['C1', 'good', 0.6, 'OK/S2'],
      // The defect is seen from one side; from the other the part looks good.
      ['C1', 'bad', 0.7, 'NG/S3'],
      ['C2', 'good', 0.1, 'NG/S3'],
      ['C1', 'bad', 0.2, 'NG/S4'],
      ['C2', 'bad', 0.55, 'NG/S4'],
    ];
    const { metrics } = await evaluated(views);
    // Of the four pairs one is told wrong: 0.55 against 0.6.
    expect(metrics.parts).toEqual({ good: 2, anomalous: 2, image_AUROC: 0.75 });
    expect(metricsTable(metrics)).toContain('parts                    I-AUROC  75.0  2 good, 2 anomalous');
    expect(reportTable(metrics).text).toContain('2 good and 2 anomalous parts');
    const single = await evaluated(views.filter(([condition]) => condition === 'C1'));
    expect(single.metrics).not.toHaveProperty('parts');
    const unnamed = await evaluated([...views, ['C1', 'good', 0.2]]);
    expect(unnamed.metrics).not.toHaveProperty('parts');
  });
});
