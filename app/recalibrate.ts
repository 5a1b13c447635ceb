/** A new threshold from every score that a model remembers and what the user marked. */

import { rangeOf } from '../src/base/lists.ts';
import type { CalibrationScore, DetectorSettings } from '../src/detector/settings.ts';
import { rankMetrics } from '../src/eval/metrics.ts';
import { type Calibration, calibrate } from '../src/eval/thresholds.ts';

export interface Marked {
  readonly name: string;
  readonly label: 'good' | 'bad' | undefined;
  readonly result: { readonly score: number };
}

/**
 * Marks replace what was known of images of the same name; scores of images that were trained on are left
 * out.
 */
export function recalibrated(
  settings: DetectorSettings,
  marked: readonly Marked[],
): { found: Calibration; scores: CalibrationScore[]; words: string } {
  const corrected = marked.map(({ name, label, result }) => ({
    score: result.score,
    anomalous: label === 'bad',
    path: name,
    source: 'corrected',
  }));
  const names = new Set(corrected.map(({ path }) => path));
  const known = settings.calibrationScores.filter(
    ({ path, source }) => source !== 'train' && !(path && names.has(path)),
  );
  const scores = [...known, ...corrected];
  const values = scores.map(({ score }) => score);
  const range = rangeOf(values);
  const metrics = rankMetrics(
    Float32Array.from(values),
    scores.map(({ anomalous }) => (anomalous ? 1 : 0)),
  );
  const found = calibrate({
    rule: metrics ? { kind: 'f1' } : { kind: 'false-alarms', rate: 0 },
    image: metrics,
    pixel: null,
    good: scores.filter(({ anomalous }) => !anomalous).map(({ score }) => score),
    goodSource: 'good images',
    imageRange: range,
    pixelRange: settings.pixel ?? range,
  });
  return {
    found: found.image,
    scores,
    words: metrics ? `F1-max over ${scores.length} scores` : found.image.rule,
  };
}
