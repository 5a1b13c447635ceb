/**
 * What is marked in an image's map. A verdict and its outline agree: an anomalous image always has its peak
 * marked, a good image has nothing marked (docs/method.md, 3.20). Metrics know nothing
 * of this: they are of raw scores and maps.
 */

import { type Calibration, isAnomalous, maskOf } from './thresholds.ts';

/**
 * Which limit the marks are drawn at. `score`: the limit of the verdict, so that both agree. `pixels`: the
 * limit of pixels, which is drawn apart from it (of largest F1 over pixels, or given by hand): an anomalous
 * image may then have no mark, and a good one may have some.
 */
export const markRules = ['score', 'pixels'] as const;

/** One of {@link markRules}. */
export type MarkRule = (typeof markRules)[number];

/** What a model's results are shown by: 0 to 1, 0.5 is at the limit. */
export interface Scale {
  /** Of scores. */
  readonly score: Calibration;
  /** Of the values of maps; that of scores, where the score is the largest value of the map. */
  readonly map: Calibration;
  readonly marks: MarkRule;
}

/** A raw score and its raw map. */
export interface ScoredMap {
  readonly score: number;
  readonly map: Float32Array;
}

/**
 * The marked pixels as 0/1, in the map's order; null without a scale.
 *
 * By `score` an image below the limit has none. An anomalous image has those at or above the limit, at least
 * its peak: a memory bank's score is not the largest value of its map, which may stay below.
 */
export function markedPixels(result: ScoredMap, scale: Scale): Uint8Array;
export function markedPixels(result: ScoredMap, scale: Scale | null): Uint8Array | null;
export function markedPixels({ score, map }: ScoredMap, scale: Scale | null): Uint8Array | null {
  if (!scale) return null;
  if (scale.marks === 'pixels') return maskOf(map, scale.map);
  if (!isAnomalous(score, scale.score)) return new Uint8Array(map.length);
  const peak = map.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return maskOf(map, { ...scale.map, threshold: Math.min(scale.map.threshold, peak) });
}

/** How many verdicts have no mark that should, and the other way round. */
export interface MarkCounts {
  readonly anomalous: number;
  readonly anomalousUnmarked: number;
  readonly good: number;
  readonly goodMarked: number;
}

/** Counts verdicts and marks of results; null without a scale. */
export async function countMarks(
  results: AsyncIterable<ScoredMap> | Iterable<ScoredMap>,
  scale: Scale | null,
): Promise<MarkCounts | null> {
  if (!scale) return null;
  const counts = { anomalous: 0, anomalousUnmarked: 0, good: 0, goodMarked: 0 };
  for await (const result of results) {
    const marked = markedPixels(result, scale).includes(1);
    if (isAnomalous(result.score, scale.score)) {
      counts.anomalous++;
      if (!marked) counts.anomalousUnmarked++;
    } else {
      counts.good++;
      if (marked) counts.goodMarked++;
    }
  }
  return counts;
}
