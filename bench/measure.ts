/**
 * Timing of programs: statistics by benchmark.js over wall-clock runs, or GPU timestamps where the adapter is
 * a real GPU.
 */
import Benchmark from 'benchmark';
import type { Program, RunInputs } from '../src/engine/runtime/program.ts';

export interface Timing {
  readonly median_ms: number;
  /** Half of the spread between the quartiles, relative to the median. */
  readonly spread: number;
  readonly runs: number;
  /** Time of the calling thread until the work is submitted, median. */
  readonly javascript_ms: number;
  /** Its time for recording the next run, while the device works; median. */
  readonly recording_ms: number;
}

export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
}

const medianOf = (values: readonly number[]) =>
  quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  );

export function summarize(
  samples: readonly number[],
  javascript: readonly number[],
  recording: readonly number[],
): Timing {
  const sorted = [...samples].sort((a, b) => a - b);
  const median = quantile(sorted, 0.5);
  return {
    median_ms: median,
    spread: (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / 2 / median,
    runs: sorted.length,
    javascript_ms: medianOf(javascript),
    recording_ms: medianOf(recording),
  };
}

/**
 * Times whole runs of a program that has run before, inputs in and outputs read; at least `runs` runs and at
 * most about `seconds`.
 */
export async function timeRuns(
  program: Program,
  inputs: RunInputs,
  read: readonly string[],
  limits: { runs: number; seconds: number },
): Promise<Timing> {
  const javascript: number[] = [];
  const recording: number[] = [];
  const samples = await new Promise<readonly number[]>((resolve, reject) => {
    new Benchmark({
      defer: true,
      async: true,
      initCount: 1,
      minSamples: limits.runs,
      minTime: 0.001,
      maxTime: limits.seconds,
      fn: (deferred: { resolve(): void }) => {
        const started = performance.now();
        const work = program.run(inputs, read);
        javascript.push(performance.now() - started);
        work.then(() => {
          recording.push(program.recordingMilliseconds);
          deferred.resolve();
        }, reject);
      },
      onComplete(this: Benchmark) {
        resolve(this.stats.sample.map((seconds) => seconds * 1000));
      },
    }).run();
  });
  return summarize(samples, javascript, recording);
}

/** Sum of the kernels' times by GPU timestamps; leaves out what happens between them. */
export async function timeKernels(program: Program, inputs: RunInputs, runs: number): Promise<Timing> {
  await program.profile(inputs);
  const samples: number[] = [];
  for (let i = 0; i < runs; i++)
    samples.push((await program.profile(inputs)).reduce((sum, entry) => sum + entry.milliseconds, 0));
  return summarize(samples, [0], [0]);
}
