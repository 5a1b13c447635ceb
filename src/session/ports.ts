/**
 * What the use cases need from whoever runs them: where models and checkpoints are kept, who is told how far
 * the work is, the clock. The command line, the page and programs that use the library each give their own.
 */

import type { Progress } from '../train/trainer.ts';

/** Told how far the work is. What it throws ends the work. */
export interface Reporter {
  /** Progress within a stage of a training, with the seconds that the stage still needs. */
  training(progress: Progress): void;
  /**
   * Begins a part of the work that counts items.
   *
   * @param label what is done, such as `loading`
   * @returns told after every item
   */
  counting(label: string): (done: number, total: number) => void;
  /** The part is over. */
  stop(): void;
}

/** A reporter that tells nobody. */
export const silent: Reporter = { training: () => {}, counting: () => () => {}, stop: () => {} };

/** Time in milliseconds. */
export interface Clock {
  /** Since a moment that stays the same. */
  now(): number;
  /** Resolves after so long. */
  rest(milliseconds: number): Promise<void>;
}

/** The clock of the platform, in milliseconds. */
export const systemClock: Clock = {
  now: () => performance.now(),
  rest: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
};
