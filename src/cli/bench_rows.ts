/** The bench's results as lines of a terminal and as CSV. */
import { type CaseComparison, type ReportComparison, type Verdict, verdicts } from '../bench/compare.ts';
import type { BenchFailure, BenchResult } from '../bench/report.ts';
import type { Peaks } from '../engine/plan/forecast.ts';
import type { ProfileEntry } from '../engine/runtime/program.ts';
import { type CsvValue, csvTable } from '../eval/csv.ts';
import { onOutput } from './style.ts';

const percent = (share: number) => (100 * share).toFixed(0);

interface Column<T> {
  readonly head: string;
  readonly width: number;
  readonly text: (row: T) => string;
}

const narrow: readonly Column<BenchResult>[] = [
  { head: 'ms', width: 9, text: ({ median_ms }) => median_ms.toFixed(median_ms < 100 ? 2 : 0) },
  { head: 'spread', width: 7, text: (r) => `±${percent(r.spread)} %` },
  { head: '', width: 1, text: ({ unsteady }) => (unsteady ? '~' : '') },
  { head: 'GFLOP/s', width: 9, text: ({ gflops }) => gflops.toFixed(1) },
  { head: 'of roof', width: 8, text: (r) => `${percent(r.share_of_roofline)} %` },
  { head: '', width: 1, text: (r) => (r.share_of_roofline > 1 ? '*' : '') },
];

const wide: readonly Column<BenchResult>[] = [
  { head: 'bound by', width: 10, text: ({ bound }) => bound ?? '-' },
  { head: 'as direct', width: 9, text: (r) => r.direct_gflops?.toFixed(1) ?? '-' },
  { head: 'GB/s', width: 7, text: (r) => r.gbytes_per_s.toFixed(1) },
  { head: 'runs', width: 6, text: ({ runs }) => `${runs}` },
  { head: 'timed by', width: 10, text: (r) => r.timed_by },
  { head: 'error', width: 8, text: (r) => r.max_abs_error?.toExponential(1) ?? '-' },
  { head: 'dispatches', width: 10, text: (r) => `${r.dispatches}${r.copies ? `+${r.copies}` : ''}` },
  { head: 'JS ms', width: 7, text: (r) => (r.javascript_ms + r.recording_ms).toFixed(2) },
  { head: 'MiB', width: 7, text: (r) => ((r.peak_bytes + r.weight_bytes) / 2 ** 20).toFixed(1) },
  { head: '  matrix kernels', width: 0, text: ({ configuration }) => `  ${configuration}` },
];

/** Lines of results, one at a time, under one head. */
export class BenchLines {
  readonly #columns: readonly Column<BenchResult>[];
  readonly #nameWidth: number;

  /** @param names of all cases that may come, so that the columns stand below each other */
  constructor(names: readonly string[], isWide: boolean) {
    this.#columns = isWide ? [...narrow, ...wide] : narrow;
    this.#nameWidth = Math.max(4, ...names.map(({ length }) => length));
  }

  #line(name: string, cell: (column: Column<BenchResult>) => string): string {
    const cells = this.#columns.map((column) => cell(column).padStart(column.width));
    return [name.padEnd(this.#nameWidth), ...cells].join(' ').trimEnd();
  }

  get head(): string {
    return this.#line('case', ({ head }) => head);
  }

  result(result: BenchResult): string {
    return this.#line(result.name, ({ text }) => text(result));
  }

  failure({ name, message }: BenchFailure): string {
    return `${name.padEnd(this.#nameWidth)} ${onOutput.red('failed:')} ${message}`;
  }
}

/** The measured peaks in a line. */
export function peaksLine({ gflops, gbytesPerSecond, copies = [] }: Peaks): string {
  const size = (bytes: number) => (bytes < 2 ** 20 ? `${bytes / 2 ** 10} KiB` : `${bytes / 2 ** 20} MiB`);
  const best = copies.map((copy) => `${copy.gbytesPerSecond.toFixed(1)} of ${size(copy.bytes)}`).join(', ');
  return (
    `peaks, measured: ${gflops.toFixed(0)} GFLOP/s; copies by a kernel ${gbytesPerSecond.toFixed(1)} GB/s` +
    (best && `; best copies ${best}`)
  );
}

export function profileLines(name: string, entries: readonly ProfileEntry[]): string[] {
  return [
    `profile of ${name}:`,
    ...entries.map(
      ({ operation, kernel, milliseconds, flops }) =>
        `  ${milliseconds.toFixed(2).padStart(8)} ms ` +
        `${(flops / milliseconds / 1e6 || 0).toFixed(1).padStart(8)} GFLOP/s  ${operation}: ${kernel}`,
    ),
  ];
}

const csvColumns = [
  'name',
  'kind',
  'timed_by',
  'median_ms',
  'spread',
  'runs',
  'attempts',
  'unsteady',
  'gflops',
  'direct_gflops',
  'gbytes_per_s',
  'intensity',
  'share_of_roofline',
  'bound',
  'dispatches',
  'copies',
  'pipelines',
  'javascript_ms',
  'recording_ms',
  'peak_bytes',
  'weight_bytes',
  'max_abs_error',
  'error_against',
  'configuration',
] as const satisfies readonly (keyof BenchResult)[];

/** All results as a table with the fields of the JSON file. */
export function benchCsv(results: readonly BenchResult[]): string {
  const cell = (value: string | number | boolean | null | undefined): CsvValue =>
    typeof value === 'boolean' ? String(value) : (value ?? null);
  return csvTable(
    csvColumns,
    results.map((result) => csvColumns.map((column) => cell(result[column]))),
  );
}

const comparisonColumns: readonly Column<CaseComparison>[] = [
  { head: 'before ms', width: 10, text: ({ before_ms }) => before_ms.toFixed(before_ms < 100 ? 2 : 0) },
  { head: 'after ms', width: 9, text: ({ after_ms }) => after_ms.toFixed(after_ms < 100 ? 2 : 0) },
  { head: 'ratio', width: 6, text: ({ ratio }) => ratio.toFixed(3) },
  {
    head: '95 % interval',
    width: 14,
    text: ({ interval }) => interval?.map((end) => end.toFixed(3)).join(' to ') ?? '-',
  },
];

const plain = (text: string) => text;
const colours: Readonly<Record<Verdict, (text: string) => string>> = {
  slower: onOutput.red,
  faster: onOutput.green,
  same: plain,
  unclear: onOutput.yellow,
  'not compared': onOutput.dim,
};

/** A comparison of two reports as lines. */
export function comparisonLines(comparison: ReportComparison, tolerance: number): string[] {
  const { cases, onlyBefore, onlyAfter, mean } = comparison;
  const width = Math.max(4, ...cases.map(({ name }) => name.length));
  const line = (name: string, cells: readonly string[], rest: string) =>
    [name.padEnd(width), ...cells, ` ${rest}`].join(' ').trimEnd();
  const count = (verdict: Verdict) => cases.filter((each) => each.verdict === verdict).length;
  const counts = verdicts.filter(count).map((verdict) => `${count(verdict)} ${verdict}`);
  return [
    ...comparison.differences.map((text) => `note: ${text}`),
    line(
      'case',
      comparisonColumns.map((column) => column.head.padStart(column.width)),
      '',
    ),
    ...cases.map((each) =>
      line(
        each.name,
        comparisonColumns.map((column) => column.text(each).padStart(column.width)),
        colours[each.verdict](each.verdict) + (each.note ? ` (${each.note})` : ''),
      ),
    ),
    ...(onlyBefore.length ? [`only before: ${onlyBefore.join(', ')}`] : []),
    ...(onlyAfter.length ? [`only after: ${onlyAfter.join(', ')}`] : []),
    `${counts.join(', ')}; a change counts beyond ${percent(tolerance)} %` +
      (mean === null ? '' : `; geometric mean of the ratios ${mean.toFixed(3)}`),
  ];
}
