/**
 * Two reports of the bench, case by case: the ratio of the medians with an interval, and what it says.
 *
 * The interval is that of a bootstrap over blocks of runs that followed each other. Runs are no independent
 * draws: a machine is slower for a while, then faster, and blocks keep that together. What differs between
 * two whole measurements (another load, another clock) is not in it; `tolerance` is for that.
 */
import { RandomStream } from '../base/random.ts';
import { median } from './measure.ts';
import type { BenchReport, BenchResult } from './report.ts';

/** `unclear`: the interval holds both a change that counts and none. */
export const verdicts = ['slower', 'faster', 'same', 'unclear', 'not compared'] as const;
export type Verdict = (typeof verdicts)[number];

export interface CaseComparison {
  readonly name: string;
  readonly before_ms: number;
  readonly after_ms: number;
  /** Median after by median before: above 1 it became slower. */
  readonly ratio: number;
  /** 95 % interval of the ratio; absent where there are too few runs. */
  readonly interval?: readonly [low: number, high: number];
  readonly verdict: Verdict;
  /** Why it is not compared, or what is doubtful. */
  readonly note?: string;
}

export interface ReportComparison {
  readonly cases: readonly CaseComparison[];
  /** Names that one of the reports alone has. */
  readonly onlyBefore: readonly string[];
  readonly onlyAfter: readonly string[];
  /** Geometric mean of the ratios of the cases that were compared; null where there is none. */
  readonly mean: number | null;
  /** What differs between both that is not the code, a sentence for each. */
  readonly differences: readonly string[];
}

const resamples = 2000;
/** With fewer runs on a side an interval of the median means nothing. */
const leastRuns = 5;

/** The median of a resample: blocks from random places, around the end to the beginning. */
function resampledMedian(samples: readonly number[], random: RandomStream, place: Float64Array): number {
  const count = samples.length;
  const block = Math.round(Math.sqrt(count));
  for (let filled = 0; filled < count; ) {
    const start = random.integer(0, count - 1);
    for (let i = 0; i < block && filled < count; i++, filled++)
      place[filled] = samples[(start + i) % count] as number;
  }
  place.sort();
  return place[count >> 1] as number;
}

/** 95 % interval of the ratio of two medians; the same samples give the same interval. */
export function ratioInterval(
  before: readonly number[],
  after: readonly number[],
): readonly [low: number, high: number] {
  const random = new RandomStream(0, 'bench/compare', before.length, after.length);
  const places = [new Float64Array(before.length), new Float64Array(after.length)] as const;
  const ratios = Float64Array.from(
    { length: resamples },
    () => resampledMedian(after, random, places[1]) / resampledMedian(before, random, places[0]),
  ).sort();
  return [
    ratios[Math.floor(0.025 * resamples)] as number,
    ratios[Math.ceil(0.975 * resamples) - 1] as number,
  ];
}

function verdictOf([low, high]: readonly [number, number], tolerance: number): Verdict {
  const most = 1 + tolerance;
  if (low > most) return 'slower';
  if (high < 1 / most) return 'faster';
  return low >= 1 / most && high <= most ? 'same' : 'unclear';
}

const medianOf = ({ samples_ms = [], median_ms }: BenchResult) =>
  samples_ms.length ? median(samples_ms) : median_ms;

function compareCase(before: BenchResult, after: BenchResult, tolerance: number): CaseComparison {
  const [first, second] = [before.samples_ms ?? [], after.samples_ms ?? []];
  const [before_ms, after_ms] = [medianOf(before), medianOf(after)];
  const base = { name: before.name, before_ms, after_ms, ratio: after_ms / before_ms };
  if (before.timed_by !== after.timed_by)
    return {
      ...base,
      verdict: 'not compared',
      note: `timed by ${before.timed_by} before, by ${after.timed_by} after`,
    };
  const fewest = Math.min(first.length, second.length);
  if (fewest < leastRuns)
    return {
      ...base,
      verdict: 'not compared',
      note: fewest ? `${fewest} runs are too few for an interval` : 'a file of before has no single runs',
    };
  const interval = ratioInterval(first, second);
  const unsteady = [before.unsteady && 'before', after.unsteady && 'after'].filter(Boolean);
  return {
    ...base,
    interval,
    verdict: verdictOf(interval, tolerance),
    ...(unsteady.length && { note: `unsteady ${unsteady.join(' and ')}` }),
  };
}

function differences(before: BenchReport, after: BenchReport): string[] {
  const [a, b] = [before.record, after.record];
  const facts: [name: string, before: string | null, after: string | null][] = [
    ['machine', a.machine, b.machine],
    ['driver', a.driver, b.driver],
    ['Node', a.node, b.node],
  ];
  const said = facts
    .filter(([, one, other]) => one !== other)
    .map(([name, one, other]) => `${name}: ${one ?? 'none'} before, ${other ?? 'none'} after`);
  // Ten per cent is what the peaks of a machine with other work differ by.
  const peaks: [name: string, ratio: number][] = [
    ['arithmetic', after.peaks.gflops / before.peaks.gflops],
    ['copies', after.peaks.gbytes_per_s / before.peaks.gbytes_per_s],
  ];
  for (const [name, ratio] of peaks)
    if (Math.abs(Math.log(ratio)) > 0.1)
      said.push(
        `the measured peak of ${name} is ${ratio.toFixed(2)} times that of before: not the code alone`,
      );
  return said;
}

/**
 * Compares two reports.
 *
 * @param tolerance change that does not count, such as 0.05 for 5 %
 */
export function compareReports(before: BenchReport, after: BenchReport, tolerance: number): ReportComparison {
  const [old, now] = [before, after].map(({ results }) => new Map(results.map((r) => [r.name, r]))) as [
    Map<string, BenchResult>,
    Map<string, BenchResult>,
  ];
  const cases = [...old.values()].flatMap((result) => {
    const other = now.get(result.name);
    return other ? [compareCase(result, other, tolerance)] : [];
  });
  const compared = cases.filter(({ verdict }) => verdict !== 'not compared');
  const sum = compared.reduce((total, { ratio }) => total + Math.log(ratio), 0);
  return {
    cases,
    onlyBefore: [...old.keys()].filter((name) => !now.has(name)),
    onlyAfter: [...now.keys()].filter((name) => !old.has(name)),
    mean: compared.length ? Math.exp(sum / compared.length) : null,
    differences: differences(before, after),
  };
}
