/** Timing of programs: wall-clock runs, or GPU timestamps where the adapter is a real GPU. */
import { spread } from '../base/lists.ts';
import type { Program, RunInputs } from '../engine/runtime/program.ts';

export interface Timing {
  readonly median_ms: number;
  /** Half of the spread between the quartiles, relative to the median. */
  readonly spread: number;
  readonly runs: number;
  /** Times of at most a hundred of the runs, evenly spread over them, in their order. */
  readonly samples_ms: readonly number[];
  /** Time of the calling thread until the work is submitted, median. */
  readonly javascript_ms: number;
  /** Its time for recording the next run, while the device works; median. */
  readonly recording_ms: number;
}

const mostSamples = 100;

/** Five digits are more than any clock is good for. */
const rounded = (value: number) => Number(value.toPrecision(5));

export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
}

/** Of values in any order. */
export const median = (values: readonly number[]) =>
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
  const middle = quantile(sorted, 0.5);
  return {
    median_ms: middle,
    spread: (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / 2 / middle,
    runs: sorted.length,
    samples_ms: spread(samples, mostSamples).map(rounded),
    javascript_ms: median(javascript),
    recording_ms: median(recording),
  };
}

/**
 * Times whole runs of a program that has run before, one after the other, inputs in and outputs read: as many
 * as fit into `seconds`, and `runs` at least.
 */
export async function timeRuns(
  program: Program,
  inputs: RunInputs,
  read: readonly string[],
  limits: { runs: number; seconds: number; signal?: AbortSignal },
): Promise<Timing> {
  const javascript: number[] = [];
  const recording: number[] = [];
  const samples: number[] = [];
  for (
    const began = performance.now();
    samples.length < limits.runs || performance.now() - began < 1000 * limits.seconds;
  ) {
    limits.signal?.throwIfAborted();
    const started = performance.now();
    const work = program.run(inputs, read);
    javascript.push(performance.now() - started);
    await work;
    samples.push(performance.now() - started);
    recording.push(program.recordingMilliseconds);
  }
  return summarize(samples, javascript, recording);
}

/** Milliseconds of a run where two are in flight, as a stream of images is worked on. */
export async function timeStream(
  program: Program,
  inputs: RunInputs,
  read: readonly string[],
  limits: { runs: number; seconds: number },
): Promise<number> {
  let done = 0;
  const began = performance.now();
  const lane = async () => {
    for (; done < limits.runs || performance.now() - began < 1000 * limits.seconds; done++)
      await program.run(inputs, read);
  };
  await Promise.all([lane(), lane()]);
  return (performance.now() - began) / done;
}

/** Sum of the kernels' times by GPU timestamps; leaves out what happens between them. */
export async function timeKernels(
  program: Program,
  inputs: RunInputs,
  runs: number,
  signal?: AbortSignal,
): Promise<Timing> {
  await program.profile(inputs);
  const samples: number[] = [];
  for (let i = 0; i < runs; i++) {
    signal?.throwIfAborted();
    samples.push((await program.profile(inputs)).reduce((sum, entry) => sum + entry.milliseconds, 0));
  }
  return summarize(samples, [0], [0]);
}
