/** What a benchmark found, for comparisons of two benchmarks. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchmarkRun } from '../../src/report/benchmark_table.ts';

/** Metrics of a benchmark by run, without what differs from time to time. */
export function numbers(out: string): Record<string, unknown> {
  const { runs } = JSON.parse(readFileSync(join(out, 'results.json'), 'utf8')) as { runs: BenchmarkRun[] };
  return Object.fromEntries(
    runs.map(({ category, mode, seed, metrics, intervals }) => [
      `${category}/${mode}/${seed}`,
      { ...metrics, seed, intervals },
    ]),
  );
}
