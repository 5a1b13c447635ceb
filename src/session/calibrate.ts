/** The use case of a calibration: a new threshold for a model, without training. */

import { type Range, rangeOf } from '../base/lists.ts';
import type { Sample } from '../data/dataset.ts';
import { checkInspects, type RegionOfInterest } from '../data/region.ts';
import type { DetectorFile } from '../detector/file.ts';
import type { CalibrationScore, DetectorSettings } from '../detector/settings.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { type RankMetrics, rankMetrics } from '../eval/metrics.ts';
import { calibrate, type DrawnCalibrations, isAnomalous, type ThresholdRule } from '../eval/thresholds.ts';
import { highestOf, highestScores, robustOf } from './changed_images.ts';
import { type ScoringOptions, scoreSamples } from './score_samples.ts';
import { testDetector } from './test_detector.ts';

/** Scores that a threshold is drawn from. */
export interface Scored {
  readonly scores: readonly CalibrationScore[];
  /**
   * Of each good image its highest score, of itself and of changed copies; of a model that was trained on
   * changed images.
   */
  readonly highest?: readonly number[] | undefined;
  /** Range of the values in the images' maps. */
  readonly pixelRange: Range;
}

/** Scores the images of a calibration with a model. */
export function scoreForCalibration(
  engine: Engine,
  file: DetectorFile,
  name: string,
  samples: readonly Sample[],
  options: Omit<ScoringOptions, 'tiling'>,
): Promise<Scored> {
  const { settings } = file;
  const robust = settings.tiling ? undefined : robustOf(settings);
  const goodSamples = samples.filter(({ defect }) => defect === 'good');
  return testDetector(engine, file, name, samples, options, async ({ results, evaluation, detector }) => ({
    ...(robust && {
      highest: await highestScores(
        results.images.filter(({ anomalous }) => !anomalous),
        { reader: options.reader, robust, seed: 0 },
        (reader, label) => scoreSamples(detector.runner, goodSamples, { ...options, reader, label }),
      ),
    }),
    scores: results.images.map(({ score, anomalous, path }) => ({
      score,
      anomalous,
      path,
      source: 'calibrate',
    })),
    pixelRange: evaluation.pixelRange,
  }));
}

/**
 * A model's settings with another region of interest, undefined for all of the image. Its limits and the
 * scores that it remembers go, for they are of what was inspected before; with the same region all is as it
 * was, in the same object.
 *
 * @throws Error where the region inspects no pixel
 */
export function withRegion(
  settings: DetectorSettings,
  region: RegionOfInterest | undefined,
): DetectorSettings {
  if (region) checkInspects(region, settings.tiling ? undefined : settings.imageSize);
  const { region: before, ...others } = settings;
  if (JSON.stringify(before) === JSON.stringify(region)) return settings;
  return { ...others, ...(region && { region }), image: null, pixel: null, calibrationScores: [] };
}

/** Where a threshold came from, and what it does to the scores. */
export interface DrawnThreshold extends DrawnCalibrations {
  /** Of the scores; null unless both classes are there. */
  readonly metrics: RankMetrics | null;
  /** Good images among the scores, and how many of them the threshold calls anomalous. */
  readonly good: number;
  readonly falseAlarms: number;
}

/** What a threshold is drawn from. */
export interface ThresholdInput {
  /** Undefined: F1-max where both classes are there, else no false alarm on the good ones. */
  readonly rule?: ThresholdRule | undefined;
  readonly scores: readonly CalibrationScore[];
  /** Scores that good images count by, where they are others. */
  readonly highest?: readonly number[] | undefined;
  /** What the good images are, in words. */
  readonly goodSource: string;
  /** Undefined: that of the scores. */
  readonly imageRange?: Range | undefined;
  /** Undefined, where nobody knows it: that of the scores. */
  readonly pixelRange?: Range | undefined;
}

/**
 * Draws a threshold from raw scores.
 *
 * @throws Error where the rule needs a class that is absent
 */
export function drawThreshold(o: ThresholdInput): DrawnThreshold {
  const values = o.scores.map(({ score }) => score);
  const good = o.highest ?? o.scores.filter(({ anomalous }) => !anomalous).map(({ score }) => score);
  const metrics = rankMetrics(
    Float32Array.from(values),
    o.scores.map(({ anomalous }) => (anomalous ? 1 : 0)),
  );
  const imageRange = o.imageRange ?? rangeOf(values);
  const drawn = calibrate({
    rule: o.rule ?? (metrics ? { kind: 'f1' } : { kind: 'false-alarms', rate: 0 }),
    image: metrics,
    pixel: null,
    good,
    goodSource: o.goodSource,
    trainedOn: o.scores.some(({ source }) => source === 'train'),
    leftOut: o.scores.some(({ source }) => source === 'left-out'),
    imageRange,
    pixelRange: o.pixelRange ?? imageRange,
  });
  const falseAlarms = good.filter((value) => isAnomalous(value, drawn.image)).length;
  return { ...drawn, metrics, good: good.length, falseAlarms };
}

/** What a range is of, without the other fields of a calibration. */
function bare(range: Range | null | undefined): Range | undefined {
  return range ? { min: range.min, max: range.max } : undefined;
}

/**
 * What a model's new threshold is drawn from: fresh scores, or without any those that it holds. Held-out and
 * test images say more about new ones than those that the model learned from.
 *
 * @param name what messages call the model
 * @throws Error where there is nothing to draw the threshold from
 */
export function thresholdInput(
  settings: DetectorSettings,
  name: string,
  { rule, fresh }: { readonly rule: ThresholdRule; readonly fresh?: Scored | undefined },
): ThresholdInput {
  const kept = settings.calibrationScores.filter(({ source }) => source !== 'train');
  const scores = fresh?.scores ?? (kept.length ? kept : settings.calibrationScores);
  if (!scores.length && rule.kind !== 'value')
    throw new Error(`${name} holds no calibration scores: give good images`);
  const imageRange = scores.length ? rangeOf(scores.map(({ score }) => score)) : bare(settings.image);
  const pixelRange = bare(fresh?.pixelRange ?? settings.pixel);
  if (!imageRange || !pixelRange)
    throw new Error(
      `${name} has no threshold yet: give good images, whose scores the scale of its heat maps comes from`,
    );
  // The best F1 is of images as they are.
  const highest = rule.kind === 'f1' || rule.kind === 'value' ? undefined : fresh?.highest;
  const source = fresh ? 'good images' : 'good images that the model remembers';
  return { rule, scores, highest, goodSource: highest ? source + highestOf : source, imageRange, pixelRange };
}

/** A model's settings with a threshold that was drawn anew, and the fresh scores that it came from. */
export function recalibrated(
  settings: DetectorSettings,
  { image, pixel, marks }: DrawnCalibrations,
  fresh?: Scored,
): DetectorSettings {
  const { calibrationScores } = settings;
  const others = fresh ? calibrationScores.filter(({ source }) => source !== 'calibrate') : calibrationScores;
  return {
    ...settings,
    image,
    pixel,
    ...(marks && { marks }),
    calibrationScores: [...others, ...(fresh?.scores ?? [])],
  };
}

/** What a person said of an image, with its raw score. */
export interface CorrectedImage {
  readonly name: string;
  readonly anomalous: boolean;
  readonly score: number;
}

/**
 * The scores of a model with what a person said of some images: it replaces what was known of images of the
 * same name. Scores of images that were trained on are left out.
 */
export function correctedScores(
  known: readonly CalibrationScore[],
  marked: readonly CorrectedImage[],
): CalibrationScore[] {
  const names = new Set(marked.map(({ name }) => name));
  return [
    ...known.filter(({ path, source }) => source !== 'train' && !(path && names.has(path))),
    ...marked.map(({ name, anomalous, score }) => ({ score, anomalous, path: name, source: 'corrected' })),
  ];
}
