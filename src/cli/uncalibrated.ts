/** What commands say about a detector without a threshold. */
import type { DetectorSettings } from '../detector/settings.ts';
import { note } from './style.ts';

/** Tells on stderr that there are raw scores only, and what draws a threshold. */
export function noteUncalibrated({ image }: DetectorSettings, model: string): void {
  if (image) return;
  note(
    `${model} is not calibrated: it has no threshold, so there are raw scores and no verdicts. ` +
      `aand calibrate ${model} GOOD_IMAGES... draws one`,
  );
}
