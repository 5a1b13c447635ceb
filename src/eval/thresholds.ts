/**
 * Thresholds and normalisation as in the field's tools: normalised = clamp((x - threshold) / (max - min) +
 * 0.5, 0, 1), so 0.5 always means "at the threshold". An image is anomalous where score >= threshold. A
 * detector without a calibration decides nothing.
 */

import { decimal } from '../base/decimal.ts';
import { InvalidArgumentError } from '../base/errors.ts';
import { floatToHalf, halfToFloat } from '../base/half.ts';
import type { FalseAlarmEvidence } from './false_alarms.ts';
import type { RankMetrics } from './metrics.ts';

/** A threshold of raw scores and the range that they are normalised with. */
export interface Calibration {
  readonly threshold: number;
  readonly min: number;
  readonly max: number;
  /** How the threshold was found, in words. */
  readonly rule: string;
  /** What good images say of the rate of false alarms; of images, and where it is known. */
  readonly evidence?: FalseAlarmEvidence;
}

/** Where the line between good and anomalous is drawn. */
export type ThresholdRule =
  /** Largest F1 on a test set with both classes. */
  | { readonly kind: 'f1' }
  /** The next 16-bit float above the largest score of good images: none of them is called anomalous. */
  | { readonly kind: 'max' }
  /** A quantile of the scores of good images, interpolated; images at or below it are called good. */
  | { readonly kind: 'quantile'; readonly quantile: number }
  /** At most this share of good images at or above it. */
  | { readonly kind: 'false-alarms'; readonly rate: number }
  /** Raw scores by hand; where that of pixels is another one, marks are drawn by it. */
  | { readonly kind: 'value'; readonly image: number; readonly pixel: number };

export const thresholdHelp =
  'f1, max, quantile:Q (0 to 1), false-alarms:RATE (0 to 1) or value:RAW[,RAW_OF_PIXELS]';

/** @throws Error listing the rules */
export function parseThreshold(text: string): ThresholdRule {
  const [, kind, value] = /^([a-z0-9-]+)(?::(.+))?$/.exec(text) ?? [];
  if ((kind === 'f1' || kind === 'max') && value === undefined) return { kind };
  const numbers = (value ?? '').split(',').map(decimal);
  const [first, second] = numbers as [number, number | undefined];
  if (kind === 'quantile' && numbers.length === 1 && first > 0 && first <= 1)
    return { kind, quantile: first };
  if (kind === 'false-alarms' && numbers.length === 1 && first >= 0 && first < 1)
    return { kind, rate: first };
  if (kind === 'value' && numbers.length <= 2 && numbers.every(Number.isFinite))
    return { kind, image: first, pixel: second ?? first };
  throw new InvalidArgumentError(`threshold '${text}' is not known; there are ${thresholdHelp}`);
}

const largestHalf = 65_504;
const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/**
 * The smallest 16-bit float that is larger; beyond their range the smallest float32. It is at most .1 % above
 * the value (but for values below 6e-5), it is the same number as 16-bit float, 32-bit float and in JSON, and
 * an image whose score is the value stays below it on a device that rounds otherwise.
 */
function above(value: number): number {
  if (Math.abs(value) < largestHalf) {
    const half = floatToHalf(value);
    if (halfToFloat(half) > value) return halfToFloat(half);
    // Negative numbers grow as their bits shrink; both zeros are followed by the smallest positive number.
    return halfToFloat(half === 0x8000 ? 1 : half & 0x8000 ? half - 1 : half + 1);
  }
  single[0] = value;
  if ((single[0] as number) > value) return single[0] as number;
  singleBits[0] = (singleBits[0] as number) + (value > 0 ? 1 : -1);
  return single[0] as number;
}

/**
 * Threshold, and its rule in words, from scores of good images alone.
 *
 * @throws Error where there are no scores, or one is no finite number
 */
export function thresholdFromGood(
  scores: ArrayLike<number>,
  rule: Exclude<ThresholdRule, { kind: 'f1' | 'value' }>,
  source: string,
): { threshold: number; rule: string } {
  if (!scores.length)
    throw new InvalidArgumentError('there are no scores of good images to find a threshold from');
  const sorted = Array.from(scores).sort((a, b) => a - b);
  const bad = sorted.find((score) => !Number.isFinite(score));
  if (bad !== undefined)
    throw new InvalidArgumentError(`a score of ${source} is ${bad}: no threshold can be drawn from it`);
  const n = sorted.length;
  const of = `${n} ${source}`;
  if (rule.kind === 'max')
    return { threshold: above(sorted[n - 1] as number), rule: `largest score of ${of}` };
  if (rule.kind === 'quantile') {
    const at = rule.quantile * (n - 1);
    const low = sorted[Math.floor(at)] as number;
    const high = sorted[Math.ceil(at)] as number;
    const value = low + (high - low) * (at % 1);
    const threshold = sorted.includes(value) ? above(value) : value;
    return { threshold, rule: `quantile ${rule.quantile} of ${of}` };
  }
  const allowed = Math.min(n - 1, Math.floor(rule.rate * n + 1e-9));
  const largestQuiet = sorted[n - 1 - allowed] as number;
  return { threshold: above(largestQuiet), rule: `at most ${100 * rule.rate} % false alarms on ${of}` };
}

/** What thresholds of images and pixels are drawn from. */
export interface CalibrationInput {
  readonly rule: ThresholdRule;
  /** Of a test set with both classes. */
  readonly image: RankMetrics | null;
  readonly pixel: RankMetrics | null;
  /** Scores of good images, and what they are, such as 'held-out good images'. */
  readonly good: ArrayLike<number>;
  readonly goodSource: string;
  /** Whether the detector was trained on them. */
  readonly trainedOn?: boolean;
  /** Whether each was judged by a detector of its own, which had learned the others. */
  readonly leftOut?: boolean;
  /** Scores of good images of a test set, where the threshold comes from it or from nowhere. */
  readonly tested?: ArrayLike<number>;
  readonly imageRange: { readonly min: number; readonly max: number };
  readonly pixelRange: { readonly min: number; readonly max: number };
}

/** Thresholds as they are drawn, of images and of pixels. */
export interface DrawnCalibrations {
  readonly image: Calibration;
  readonly pixel: Calibration;
  /** Where the limit of pixels was given by hand: marks are drawn by it. Else by that of images. */
  readonly marks?: 'pixels';
}

/**
 * Calibrations of images and pixels. What is shown and marked follows that of images (see `scaleOf`); that of
 * pixels, of largest F1 over pixels where there are masks, is for those who want marks drawn by it.
 *
 * @throws Error where the rule needs a class that is absent
 */
export function calibrate(o: CalibrationInput): DrawnCalibrations {
  if (o.rule.kind === 'value') {
    const rule = 'set by hand';
    return {
      image: {
        threshold: o.rule.image,
        ...o.imageRange,
        rule,
        ...counted(o.tested?.length ? o.tested : o.trainedOn ? [] : o.good, o.rule.image, 'counted'),
      },
      pixel: { threshold: o.rule.pixel, ...o.pixelRange, rule },
      ...(o.rule.pixel !== o.rule.image && { marks: 'pixels' }),
    };
  }
  if (o.rule.kind === 'f1') {
    if (!o.image) throw new InvalidArgumentError('the threshold rule f1 needs good and defective images');
    const rule = 'F1-max on the test set';
    const threshold = o.image.f1Threshold;
    const evidence = o.tested?.length
      ? counted(o.tested, threshold, 'fitted')
      : counted(o.good, threshold, o.trainedOn ? 'trained' : 'fitted');
    const image = { threshold, ...o.imageRange, rule, ...evidence };
    return {
      image,
      pixel: o.pixel
        ? { threshold: o.pixel.f1Threshold, ...o.pixelRange, rule }
        : { threshold: image.threshold, ...o.pixelRange, rule: 'that of images (there are no masks)' },
    };
  }
  const found = thresholdFromGood(o.good, o.rule, o.goodSource);
  // Between two scores, as quantiles lie, the number of scores above is all that is known.
  const own = o.rule.kind === 'quantile' ? 'counted' : 'drawn';
  const from = o.trainedOn ? 'trained' : o.leftOut ? 'left-out' : own;
  return {
    image: { ...found, ...o.imageRange, ...counted(o.good, found.threshold, from) },
    pixel: { ...found, ...o.pixelRange },
  };
}

function counted(
  good: ArrayLike<number>,
  threshold: number,
  from: FalseAlarmEvidence['from'],
): Pick<Calibration, 'evidence'> {
  if (!good.length) return {};
  const flagged = Array.from(good).filter((score) => score >= threshold).length;
  return { evidence: { good: good.length, flagged, from } };
}

/** Null without a calibration. */
export function normalizeScore(score: number, calibration: Calibration): number;
export function normalizeScore(score: number, calibration: Calibration | null): number | null;
export function normalizeScore(score: number, calibration: Calibration | null): number | null {
  if (!calibration) return null;
  const { threshold, min, max } = calibration;
  const range = max - min;
  if (range <= 0) return score >= threshold ? (score > threshold ? 1 : 0.5) : 0;
  return Math.min(1, Math.max(0, (score - threshold) / range + 0.5));
}

/**
 * The text of a score from 0 to 1. Rounding never carries it over the limit: what is 0.4996 and good is shown
 * as 0.499, for 0.500 is anomalous.
 */
export function scoreText(normalizedScore: number, digits = 3): string {
  const text = normalizedScore.toFixed(digits);
  return normalizedScore < 0.5 && Number(text) >= 0.5 ? (0.5 - 10 ** -digits).toFixed(digits) : text;
}

/** Null without a calibration. */
export function isAnomalous(score: number, calibration: Calibration): boolean;
export function isAnomalous(score: number, calibration: Calibration | null): boolean | null;
export function isAnomalous(score: number, calibration: Calibration | null): boolean | null {
  return calibration && score >= calibration.threshold;
}

/** Pixels of a map at or above the threshold as 0/1; null without a calibration. */
export function maskOf(map: Float32Array, calibration: Calibration): Uint8Array;
export function maskOf(map: Float32Array, calibration: Calibration | null): Uint8Array | null;
export function maskOf(map: Float32Array, calibration: Calibration | null): Uint8Array | null {
  return calibration && Uint8Array.from(map, (value) => (value >= calibration.threshold ? 1 : 0));
}
