/** The one scale of a model: scores, maps, colours, marks and pictures are shown by it, wherever they are. */

import type { MarkRule, Scale } from '../eval/marks.ts';
import type { Calibration } from '../eval/thresholds.ts';
import { methodNamed } from '../model/methods.ts';
import type { DetectorSettings } from './settings.ts';

/**
 * The limit of images over the range of all values that the calibration saw, of scores and of pixels: a score
 * is the largest value of its map, so one scale holds for both.
 */
function shared(image: Calibration, pixel: Calibration): Calibration {
  return { ...image, min: Math.min(image.min, pixel.min), max: Math.max(image.max, pixel.max) };
}

/**
 * The scale of a model: 0 to 1, 0.5 is at the limit; null for a model without a threshold. One for scores and
 * the values of maps, so that the colour at an image's peak is its score. Two kinds of model have a scale of
 * their own for maps: a memory bank that sees and inspects whole images, whose score is no value of its map,
 * and what is marked by the limit of pixels.
 *
 * @param marks how marks are drawn, instead of the model's own way
 */
export function scaleOf(
  settings: Pick<DetectorSettings, 'image' | 'pixel' | 'mode' | 'tiling' | 'region' | 'marks'>,
  marks: MarkRule = settings.marks ?? 'score',
): Scale | null {
  const { image, pixel, mode, tiling, region } = settings;
  if (!image || !pixel) return null;
  const scoreIsPeak = methodNamed(mode).learns === 'student' || tiling !== undefined || region !== undefined;
  if (!scoreIsPeak) return { score: image, map: pixel, marks };
  const score = shared(image, pixel);
  return { score, map: marks === 'pixels' ? pixel : score, marks };
}
