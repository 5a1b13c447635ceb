/**
 * How rules for thresholds do with few good images: thresholds are drawn from random parts of the good scores
 * that are known, and judged by the rest of them and by the defects.
 */

import { InvalidArgumentError } from '../base/errors.ts';
import { RandomStream } from '../base/random.ts';
import { type ThresholdRule, thresholdFromGood } from './thresholds.ts';

/** Numbers of good images that thresholds are drawn from. */
export const comparedSizes = [4, 8, 16, 32, 64] as const;

type GoodRule = Exclude<ThresholdRule, { kind: 'f1' | 'value' }>;

/** The rules that are compared, by what options call them. */
export const comparedRules: readonly (readonly [name: string, rule: GoodRule])[] = [
  ['max', { kind: 'max' }],
  ['quantile:0.95', { kind: 'quantile', quantile: 0.95 }],
  ['false-alarms:0.05', { kind: 'false-alarms', rate: 0.05 }],
  ['false-alarms:0.1', { kind: 'false-alarms', rate: 0.1 }],
];

/** A rule on so many good images, over all draws; shares 0 to 1. */
export interface RuleComparison {
  readonly good: number;
  readonly rule: string;
  /** Of the good images that the threshold was not drawn from. */
  readonly falseAlarms: { readonly mean: number; readonly low: number; readonly high: number };
  /** Of all defective images. */
  readonly missed: { readonly mean: number; readonly low: number; readonly high: number };
}

function summary(values: readonly number[]): RuleComparison['missed'] {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] as number;
  return {
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    low: at(0.025),
    high: at(0.975),
  };
}

/**
 * Compares the rules; sizes that leave fewer than four good images to judge with are left out.
 *
 * @param scores of images that the detector was not trained on
 * @param options draws: how often a part is drawn, default 1000
 * @throws Error on too few good images, or no defective ones
 */
export function compareRules(
  scores: readonly { readonly score: number; readonly anomalous: boolean }[],
  { seed = 0, draws = 1000 }: { readonly seed?: number; readonly draws?: number } = {},
): RuleComparison[] {
  const good = scores.filter(({ anomalous }) => !anomalous).map(({ score }) => score);
  const bad = scores.filter(({ anomalous }) => anomalous).map(({ score }) => score);
  const sizes = comparedSizes.filter((size) => size + 4 <= good.length);
  if (!sizes.length || !bad.length)
    throw new InvalidArgumentError(
      `rules are compared on at least 8 good images and a defective one that the model was not trained on; ` +
        `there are ${good.length} and ${bad.length}`,
    );
  return sizes.flatMap((size) => {
    const parts = Array.from({ length: draws }, (_, draw) => {
      const order = [...new RandomStream(seed, 'compare rules', size, draw).sample(good.length, good.length)];
      const scoreOf = (i: number) => good[i] as number;
      return { drawn: order.slice(0, size).map(scoreOf), rest: order.slice(size).map(scoreOf) };
    });
    return comparedRules.map(([name, rule]) => {
      const thresholds = parts.map(({ drawn }) => thresholdFromGood(drawn, rule, 'good images').threshold);
      const share = (list: readonly number[], is: (score: number) => boolean) =>
        list.filter(is).length / list.length;
      return {
        good: size,
        rule: name,
        falseAlarms: summary(
          parts.map(({ rest }, i) => share(rest, (score) => score >= (thresholds[i] as number))),
        ),
        missed: summary(thresholds.map((threshold) => share(bad, (score) => score < threshold))),
      };
    });
  });
}

/** The comparison as a table in Markdown; per cent, mean and the middle 95 % of the draws. */
export function comparisonTable(rows: readonly RuleComparison[]): string {
  const percent = (share: number) => (100 * share).toFixed(1);
  const cell = ({ mean, low, high }: RuleComparison['missed']) =>
    `${percent(mean)} (${percent(low)} to ${percent(high)})`;
  return [
    '| good images | rule | false alarms, % | missed defects, % |',
    '|---:|---|---:|---:|',
    ...rows.map(
      ({ good, rule, falseAlarms, missed }) =>
        `| ${good} | ${rule} | ${cell(falseAlarms)} | ${cell(missed)} |`,
    ),
  ].join('\n');
}
