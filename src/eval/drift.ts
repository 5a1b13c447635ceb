/**
 * Says when the scores of a running inspection have moved away from those of the good images that the
 * threshold was drawn from: another lamp, a dirty lens, a part that is made a little differently.
 *
 * Two sums run over the scores, one for each direction (CUSUM of signs; Page 1954). A score beyond the
 * direction's reference adds 1, any other takes 2 away, and no sum falls below 0. The reference is the score
 * that at most 45 % of good parts go beyond (for 99 of 100 calibration sets, by order statistics), so with up
 * to 5 % of defective parts at most half of all scores do. A sum that reaches {@link driftLimit} is an
 * alarm. Only ranks count: neither the scale of the scores nor a few defects with huge ones matter.
 */

import { InvalidArgumentError } from '../base/errors.ts';
import { spread } from '../base/lists.ts';
import { binomialAtLeast } from './false_alarms.ts';

/** Share of good parts that may lie beyond a reference. */
const shareBeyond = 0.45;
/** Share of calibration sets whose reference is beyond its promise. */
const risk = 0.01;

/**
 * The sum that is an alarm. While half of all scores are beyond the reference, the worst that calibration
 * allows, a direction gives an alarm every 13,000 scores on average; after a change that puts every score
 * beyond it the alarm comes after this many.
 */
export const driftLimit = 16;

/** Fewer good scores give no reference. */
export const driftNeeds = 8;

/** Where scores have moved to, seen from those of the calibration. */
export type DriftDirection = 'higher' | 'lower';

/** Where the scores have gone. */
export interface Drift {
  /** Undefined while both sums are below the limit. */
  readonly direction: DriftDirection | undefined;
  /** The two sums over the limit, 0 to 1. */
  readonly higher: number;
  readonly lower: number;
  /** Scores since the start or the last reset. */
  readonly seen: number;
}

/**
 * How many of n good scores may lie beyond the reference, itself one of them, so that at most
 * {@link shareBeyond} of all good parts do: the share beyond the score with k larger ones is
 * Beta(k + 1, n - k).
 */
function allowedBeyond(n: number): number {
  let k = 0;
  while (k + 1 < n && 1 - binomialAtLeast(k + 2, n, shareBeyond) <= risk) k++;
  return k;
}

/** More are not used: the reference hardly moves. */
const mostScores = 1000;

/** Watches the scores of one model on one line. */
export class DriftMonitor {
  readonly #high: number;
  readonly #low: number;
  #up = 0;
  #down = 0;
  #seen = 0;

  /**
   * @param good scores of good images that the model was not trained on, at least {@link driftNeeds}
   * @throws InvalidArgumentError on fewer, and on one that is no finite number
   */
  constructor(good: readonly number[]) {
    if (good.length < driftNeeds)
      throw new InvalidArgumentError(
        `drift needs the scores of ${driftNeeds} good images, there are ${good.length}: calibrate with more`,
      );
    const bad = good.find((score) => !Number.isFinite(score));
    if (bad !== undefined)
      throw new InvalidArgumentError(`drift: the score of a good image is ${bad}, expected a finite number`);
    const sorted = spread(
      [...good].sort((a, b) => a - b),
      mostScores,
    );
    const beyond = allowedBeyond(sorted.length);
    this.#high = sorted[sorted.length - 1 - beyond] as number;
    this.#low = sorted[beyond] as number;
  }

  /**
   * Takes the score of the next part, good or not.
   *
   * @throws InvalidArgumentError on a score that is no finite number
   */
  add(score: number): Drift {
    if (!Number.isFinite(score))
      throw new InvalidArgumentError(`drift: a score is ${score}, expected a finite number`);
    this.#seen++;
    this.#up = Math.max(0, this.#up + (score > this.#high ? 1 : -2));
    this.#down = Math.max(0, this.#down + (score < this.#low ? 1 : -2));
    return this.state;
  }

  get state(): Drift {
    const direction = this.#up >= driftLimit ? 'higher' : this.#down >= driftLimit ? 'lower' : undefined;
    return {
      direction,
      higher: Math.min(1, this.#up / driftLimit),
      lower: Math.min(1, this.#down / driftLimit),
      seen: this.#seen,
    };
  }

  /** Begins anew, after somebody has looked at the camera. */
  reset(): void {
    this.#up = 0;
    this.#down = 0;
    this.#seen = 0;
  }
}
