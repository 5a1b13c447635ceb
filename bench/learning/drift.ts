/** How soon drift is noticed, and how often for nothing: simulated streams of scores. */
import { RandomStream } from '../../src/base/random.ts';
import type { Provenance } from '../../src/bench/provenance.ts';
import { DriftMonitor } from '../../src/eval/drift.ts';
import type { MeasuredTable } from '../figures/sections.ts';

/** Numbers of good images that the reference is drawn from. */
const calibrations = [10, 20, 50, 100, 200] as const;
/** How far the scores move, in standard deviations of those of good parts; 0: not at all. */
const shifts = [0, 0.5, 1, 2, 3] as const;
const streams = 500;
const longest = 10_000;
/** Defective parts among the stream, far above all others. */
const defects = 0.03;

export interface DriftRow {
  readonly good: number;
  /** Standard deviations that scores move by, up. */
  readonly shift: number;
  /** Share of the streams with an alarm within {@link longest} parts. */
  readonly alarms: number;
  /** Median number of parts until the alarm; null where most streams have none. */
  readonly median: number | null;
  /** Nine of ten streams have their alarm by then; null where they have none. */
  readonly late: number | null;
}

export interface DriftReport {
  readonly streams: number;
  readonly parts: number;
  readonly defects: number;
  readonly rows: readonly DriftRow[];
}

function stream(random: RandomStream, good: number, shift: number): number {
  const monitor = new DriftMonitor(Array.from({ length: good }, () => random.normal()));
  for (let part = 1; part <= longest; part++) {
    const score = random.next() < defects ? 100 + random.next() : random.normal() + shift;
    if (monitor.add(score).direction) return part;
  }
  return Number.POSITIVE_INFINITY;
}

/** Simulates the streams; the same numbers every time. */
export function simulateDrift(): DriftReport {
  const finite = (value: number | undefined) =>
    value === undefined || !Number.isFinite(value) ? null : value;
  const rows = calibrations.flatMap((good) =>
    shifts.map((shift) => {
      const random = new RandomStream(0, 'drift', good, shift);
      const delays = Array.from({ length: streams }, () => stream(random, good, shift)).sort((a, b) => a - b);
      return {
        good,
        shift,
        alarms: delays.filter(Number.isFinite).length / streams,
        median: finite(delays[streams / 2]),
        late: finite(delays[Math.floor(0.9 * streams)]),
      };
    }),
  );
  return { streams, parts: longest, defects, rows };
}

/** The report as a section of docs/results.md. */
export function driftSection(report: DriftReport, record: Provenance): MeasuredTable {
  const parts = report.parts.toLocaleString('en');
  return {
    record: { ...record },
    order: 50,
    title: 'Drift of scores: delay and false alarms',
    about: [
      'A sum of signs against the scores of good images says when the scores have moved (`DriftMonitor` in ' +
        '`src/eval/drift.ts`). These are simulated streams: good scores are normal, ' +
        `${(100 * report.defects).toFixed(0)} % of the parts are defective and score far above all others, ` +
        `${report.streams} streams of ${parts} parts for each row. The shift is in standard deviations of ` +
        'good scores. Rows without a shift are false alarms.',
      'With 10 good images only large shifts are seen: the monitor then has to allow for what it does not ' +
        'know of good parts.',
    ],
    digits: 1,
    heads: ['good images', 'shift', 'streams with an alarm, %', 'half by part', 'nine of ten by part'],
    rows: report.rows.map(({ good, shift, alarms, median, late }) => [
      `${good}`,
      `${shift}`,
      100 * alarms,
      median === null ? 'none' : `${median}`,
      late === null ? 'none' : `${late}`,
    ]),
    commands: [],
  };
}
