/** Confidence intervals of image metrics: percentile bootstrap over images. */
import { RandomStream } from '../base/random.ts';
import { type RankMetrics, rankMetrics } from './metrics.ts';

/** A confidence interval of a metric, as its ends. */
export type Interval = readonly [low: number, high: number];

const resamples = 1000;

/** Confidence intervals of the metrics of images, from a bootstrap over the images. */
export interface Intervals {
  readonly auroc: Interval;
  readonly averagePrecision: Interval;
  readonly f1Max: Interval;
}

/**
 * 95 % intervals from 1000 resamples of the images. Good and defective images are drawn apart, so that each
 * resample has both classes. The same scores give the same interval.
 *
 * @returns null where one of the classes is absent
 */
export function bootstrapIntervals(scores: Float32Array, labels: ArrayLike<number>): Intervals | null {
  const classes = [0, 1].map((label) => [...scores.keys()].filter((i) => (labels[i] ? 1 : 0) === label));
  if (classes.some((members) => !members.length)) return null;
  const random = new RandomStream(0, 'bootstrap', scores.length);
  const drawnLabels = classes.flatMap((members, label) => members.map(() => label));
  const values: RankMetrics[] = [];
  for (let round = 0; round < resamples; round++) {
    const drawn = classes.flatMap((members) =>
      members.map(() => scores[members[random.integer(0, members.length - 1)] as number] as number),
    );
    values.push(rankMetrics(Float32Array.from(drawn), drawnLabels) as RankMetrics);
  }
  const interval = (key: 'auroc' | 'averagePrecision' | 'f1Max'): Interval => {
    const sorted = values.map((value) => value[key]).sort((a, b) => a - b);
    return [
      sorted[Math.floor(0.025 * resamples)] as number,
      sorted[Math.ceil(0.975 * resamples) - 1] as number,
    ];
  };
  return {
    auroc: interval('auroc'),
    averagePrecision: interval('averagePrecision'),
    f1Max: interval('f1Max'),
  };
}
