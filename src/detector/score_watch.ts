/** Watches the scores that a model gives in use, by the good images of its calibration. */

import { type DriftDirection, DriftMonitor, driftNeeds } from '../eval/drift.ts';
import type { DetectorSettings } from './settings.ts';

/**
 * Scores of good images that say what is usual for a model: of its last calibration where that had enough,
 * else of held-out, tested and corrected images; never of those that it learned from, and never of those
 * that other detectors judged while they were left out.
 */
function usualScores({ calibrationScores }: Pick<DetectorSettings, 'calibrationScores'>): number[] {
  const foreign = ['train', 'left-out'];
  const good = calibrationScores.filter(
    ({ anomalous, source = '' }) => !anomalous && !foreign.includes(source),
  );
  const calibrated = good.filter(({ source }) => source === 'calibrate');
  return (calibrated.length >= driftNeeds ? calibrated : good).map(({ score }) => score);
}

/** An alarm: the scores have moved away from those of the calibration. */
export interface DriftAlarm {
  readonly direction: DriftDirection;
  /** How many scores there had been. */
  readonly after: number;
}

/** What an alarm says, as the end of a sentence without its point, and what to do. */
export function driftText({ direction }: Pick<DriftAlarm, 'direction'>): string {
  const where = direction === 'higher' ? 'above' : 'below';
  return (
    `the scores lie ${where} those of the good images of the calibration. Check light, lens and camera; if ` +
    'the change is to stay, calibrate anew with good photographs taken now (aand calibrate)' +
    (direction === 'higher' ? '. Where most of these parts are defective, nothing is wrong' : '')
  );
}

/** Takes one score after the other. An alarm stays until the watch begins anew. */
export class ScoreWatch {
  readonly #monitor: DriftMonitor;
  #alarm: DriftAlarm | undefined;

  private constructor(good: readonly number[]) {
    this.#monitor = new DriftMonitor(good);
  }

  /** The watch of a model; undefined where its file remembers too few scores of good images. */
  static of(settings: Pick<DetectorSettings, 'calibrationScores'>): ScoreWatch | undefined {
    const good = usualScores(settings);
    return good.length >= driftNeeds ? new ScoreWatch(good) : undefined;
  }

  /**
   * Takes the raw score of the next image, good or not.
   *
   * @returns the alarm, if there is one
   * @throws InvalidArgumentError on a score that is no finite number
   */
  add(score: number): DriftAlarm | undefined {
    const { direction, seen } = this.#monitor.add(score);
    if (direction) this.#alarm ??= { direction, after: seen };
    return this.#alarm;
  }

  get alarm(): DriftAlarm | undefined {
    return this.#alarm;
  }

  /** Begins anew, after somebody has looked at the camera. */
  reset(): void {
    this.#monitor.reset();
    this.#alarm = undefined;
  }
}

/**
 * Whether the good images of the test set score otherwise than those that were held out: they were
 * photographed another day. Undefined too where too few were held out.
 */
export function driftOfTested({
  calibrationScores,
}: Pick<DetectorSettings, 'calibrationScores'>): DriftAlarm | undefined {
  const of = (wanted: string) => calibrationScores.filter(({ source }) => source === wanted);
  const watch = ScoreWatch.of({ calibrationScores: of('held-out') });
  for (const { score, anomalous } of of('test')) if (!anomalous) watch?.add(score);
  return watch?.alarm;
}
