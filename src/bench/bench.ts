/** A whole measurement: the peaks, then case by case. The same in Node and in browsers. */
import type { Peaks } from '../engine/plan/forecast.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { measurePeaks } from '../engine/runtime/peak.ts';
import type { BenchCase } from './case.ts';
import type { BenchFailure, BenchResult } from './report.ts';
import { type RunOptions, runCase } from './run.ts';

export interface BenchOptions extends Pick<RunOptions, 'mostSpread' | 'signal' | 'profile' | 'onProfile'> {
  /** Fewer runs of each case. */
  readonly quick?: boolean;
  /** Time that the runs of a case are repeated for; by default 4 s, and 1 s where it is quick. */
  readonly seconds?: number;
  readonly onPeaks?: (peaks: Peaks) => void;
  readonly onCase?: (benchCase: BenchCase, place: number) => void;
  readonly onResult?: (result: BenchResult) => void;
  readonly onFailure?: (failure: BenchFailure) => void;
}

export interface BenchOutcome {
  readonly peaks: Peaks;
  readonly results: readonly BenchResult[];
  readonly failures: readonly BenchFailure[];
  /** It was stopped; cases are missing. */
  readonly stopped: boolean;
}

/**
 * Measures cases one after the other. What fails in one does not keep the others from being measured.
 *
 * @throws Error where the peaks cannot be measured or the device is lost
 */
export async function runBench(
  engine: Engine,
  cases: readonly BenchCase[],
  options: BenchOptions,
): Promise<BenchOutcome> {
  const { quick = false, signal } = options;
  const peaks = await measurePeaks(engine, { copies: true });
  options.onPeaks?.(peaks);
  const results: BenchResult[] = [];
  const failures: BenchFailure[] = [];
  for (const [i, benchCase] of cases.entries()) {
    if (signal?.aborted) break;
    options.onCase?.(benchCase, i);
    try {
      const result = await runCase(engine, benchCase, peaks, {
        ...options,
        runs: benchCase.long ? 1 : quick ? 3 : 10,
        seconds: options.seconds ?? (quick || benchCase.long ? 1 : 4),
      });
      results.push(result);
      options.onResult?.(result);
    } catch (error) {
      if (signal?.aborted) break;
      // On a lost device every case would fail.
      engine.check();
      const failure = { name: benchCase.name, message: (error as Error).message };
      failures.push(failure);
      options.onFailure?.(failure);
    }
  }
  return { peaks, results, failures, stopped: results.length + failures.length < cases.length };
}
