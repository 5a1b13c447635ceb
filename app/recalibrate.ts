/** A new threshold from every score that a model remembers and what the user marked. */

import type { CalibrationScore, DetectorSettings } from '../src/detector/settings.ts';
import type { Calibration } from '../src/eval/thresholds.ts';
import { correctedScores, drawThreshold } from '../src/session/calibrate.ts';

export interface Marked {
  readonly name: string;
  readonly label: 'good' | 'bad' | undefined;
  readonly score: number;
}

/** The threshold, the scores that it came from, and its rule in words. */
export function recalibrated(
  settings: DetectorSettings,
  marked: readonly Marked[],
): { found: Calibration; scores: CalibrationScore[]; words: string } {
  const scores = correctedScores(
    settings.calibrationScores,
    marked.map(({ name, label, score }) => ({ name, anomalous: label === 'bad', score })),
  );
  const { image, metrics } = drawThreshold({
    scores,
    goodSource: 'good images',
    pixelRange: settings.pixel ?? undefined,
  });
  return { found: image, scores, words: metrics ? `F1-max over ${scores.length} scores` : image.rule };
}
