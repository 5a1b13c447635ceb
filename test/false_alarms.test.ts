/** What good images say of the true rate of false alarms. */

import { describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { compareRules, comparisonTable } from '../src/eval/compare_rules.ts';
import {
  countFalseAlarms,
  type FalseAlarmEvidence,
  falseAlarmInterval,
  falseAlarmText,
} from '../src/eval/false_alarms.ts';
import { calibrate, parseThreshold } from '../src/eval/thresholds.ts';

const evidence = (good: number, flagged: number, from: FalseAlarmEvidence['from']) => ({
  good,
  flagged,
  from,
});

describe('the interval of a false-alarm rate', () => {
  test('above the largest of n scores it is that of Beta(1, n), in closed form', () => {
    for (const n of [1, 2, 12, 100, 5000]) {
      const [low, high] = falseAlarmInterval(evidence(n, 0, 'drawn')) as [number, number];
      expect(low).toBeCloseTo(1 - 0.975 ** (1 / n), 12);
      expect(high).toBeCloseTo(1 - 0.025 ** (1 / n), 12);
    }
  });

  test('counted on other images it is that of Clopper and Pearson', () => {
    // Values of R's binom.test.
    for (const [n, k, low, high] of [
      [20, 2, 0.01234853, 0.3169827],
      [10, 0, 0, 0.3084971],
      [10, 10, 0.6915029, 1],
    ] as const) {
      const found = falseAlarmInterval(evidence(n, k, 'counted')) as [number, number];
      expect(found[0]).toBeCloseTo(low, 6);
      expect(found[1]).toBeCloseTo(high, 6);
    }
  });

  test('covers the true rate in 95 of 100 draws, for any rule just above a score', () => {
    const random = new RandomStream('coverage');
    for (const [n, k] of [
      [4, 0],
      [12, 0],
      [20, 3],
    ] as const) {
      let covered = 0;
      const draws = 4000;
      const [low, high] = falseAlarmInterval(evidence(n, k, 'drawn')) as [number, number];
      for (let i = 0; i < draws; i++) {
        // Scores are uniform, so that a threshold is one minus its rate.
        const scores = Array.from({ length: n }, () => random.next()).sort((a, b) => b - a);
        const rate = 1 - (scores[k] as number);
        if (rate >= low && rate <= high) covered++;
      }
      expect(covered / draws).toBeGreaterThan(0.94);
      expect(covered / draws).toBeLessThan(0.96);
    }
  });

  test('says nothing of images that were trained on, and refuses counts that cannot be', () => {
    expect(falseAlarmInterval(evidence(12, 0, 'trained'))).toBeUndefined();
    for (const [good, flagged] of [
      [0, 0],
      [2, 3],
      [2.5, 0],
      [2, -1],
    ] as const)
      expect(() => falseAlarmInterval(evidence(good, flagged, 'counted'))).toThrow('false alarms of');
  });
});

test('evidence in plain words', () => {
  expect(falseAlarmText(evidence(12, 0, 'drawn'))).toBe(
    'With 12 good images, the true rate of false alarms lies between 0.2 and 26.5 % (95 %).',
  );
  expect(falseAlarmText(evidence(1, 0, 'trained'))).toMatch(
    /^The 1 good image of the threshold was trained on/,
  );
  expect(falseAlarmText(evidence(41, 1, 'counted'))).toBe(
    '1 of 41 good images is called anomalous: the true rate of false alarms lies ' +
      'between 0.06 and 12.9 % (95 %).',
  );
  expect(falseAlarmText(evidence(41, 2, 'fitted'))).toMatch(/so new ones may do worse\.$/);
});

test('a calibration says which images stand behind it', () => {
  const of = (rule: string, more: object = {}) =>
    calibrate({
      rule: parseThreshold(rule),
      image: { auroc: 1, averagePrecision: 1, f1Max: 1, f1Threshold: 3 },
      pixel: null,
      good: [1, 2, 3, 4],
      goodSource: 'good images',
      imageRange: { min: 0, max: 5 },
      pixelRange: { min: 0, max: 5 },
      ...more,
    }).image.evidence;
  expect(of('max')).toEqual(evidence(4, 0, 'drawn'));
  expect(of('false-alarms:0.25')).toEqual(evidence(4, 1, 'drawn'));
  expect(of('quantile:0.5')).toEqual(evidence(4, 2, 'counted'));
  expect(of('max', { trainedOn: true })).toEqual(evidence(4, 0, 'trained'));
  expect(of('f1')).toEqual(evidence(4, 2, 'fitted'));
  expect(of('f1', { trainedOn: true, tested: [1, 5] })).toEqual(evidence(2, 1, 'fitted'));
  expect(of('value:2')).toEqual(evidence(4, 3, 'counted'));
  expect(of('value:2', { trainedOn: true })).toBeUndefined();
});

test('false alarms are counted among good images alone', () => {
  const images = [1, 2, 3, 4].map((score) => ({ score, anomalous: score === 4 }));
  expect(countFalseAlarms(images, { threshold: 2 })).toEqual(evidence(3, 2, 'counted'));
  expect(countFalseAlarms(images, null)).toBeNull();
  expect(countFalseAlarms(images.slice(3), { threshold: 2 })).toBeNull();
});

describe('rules compared over parts of the good scores', () => {
  const random = new RandomStream('compared');
  const scores = [
    ...Array.from({ length: 40 }, () => ({ score: random.next(), anomalous: false })),
    ...[0.5, 2, 3, 4].map((score) => ({ score, anomalous: true })),
  ];
  const rows = compareRules(scores, { draws: 300 });
  const row = (good: number, rule: string) =>
    rows.find((each) => each.good === good && each.rule === rule) as (typeof rows)[number];

  test('the largest of n is exceeded by one of n + 1, and a defect among the good is missed', () => {
    for (const good of [4, 8, 16, 32]) {
      const { falseAlarms, missed } = row(good, 'max');
      expect(Math.abs(falseAlarms.mean - 1 / (good + 1))).toBeLessThan(0.03);
      expect(missed.high).toBe(0.25);
    }
    expect(row(16, 'false-alarms:0.1').falseAlarms.mean).toBeGreaterThan(row(16, 'max').falseAlarms.mean);
  });

  test('sizes that leave nothing to judge with are left out; the same scores give the same table', () => {
    expect(new Set(rows.map(({ good }) => good))).toEqual(new Set([4, 8, 16, 32]));
    expect(compareRules(scores, { draws: 300 })).toEqual(rows);
    expect(comparisonTable(rows).split('\n')).toHaveLength(2 + rows.length);
    expect(() => compareRules(scores.slice(0, 40))).toThrow('there are 40 and 0');
    expect(() => compareRules(scores.slice(36))).toThrow('there are 4 and 4');
  });
});
