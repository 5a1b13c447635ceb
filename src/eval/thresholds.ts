/**
 * Thresholds and normalisation as the field does it: normalised = clamp((x - threshold) / (max - min) + 0.5, 0, 1), so 0.5 is
 * always "at the threshold". The decision is score >= threshold.
 */
import type { RankMetrics } from './metrics.ts';

export interface Calibration {
  readonly threshold: number;
  readonly min: number;
  readonly max: number;
  /** How the threshold was found. */
  readonly rule: 'F1-max on the test set' | 'largest score of the good images';
}

/** A calibration from scores; without a defective image the threshold is the largest good score. */
export function calibrate(scores: Float32Array, metrics: RankMetrics | null): Calibration {
  if (!scores.length) throw new Error('there are no scores to calibrate with');
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const score of scores) {
    min = Math.min(min, score);
    max = Math.max(max, score);
  }
  return metrics
    ? { threshold: metrics.f1Threshold, min, max, rule: 'F1-max on the test set' }
    : { threshold: max, min, max, rule: 'largest score of the good images' };
}

export function normalizeScore(score: number, { threshold, min, max }: Calibration): number {
  const range = max - min;
  if (range <= 0) return score >= threshold ? (score > threshold ? 1 : 0.5) : 0;
  return Math.min(1, Math.max(0, (score - threshold) / range + 0.5));
}

export function isAnomalous(score: number, { threshold }: Calibration): boolean {
  return score >= threshold;
}
