/** How soon drift is noticed, and how often for nothing: simulated streams of scores. */
import { RandomStream } from '../../src/base/random.ts';
import { DriftMonitor } from '../../src/eval/drift.ts';

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
