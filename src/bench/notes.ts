/** What a reader of results must know of some of them. */
import type { BenchResult } from './report.ts';

/** Spread beyond which a time is measured again, as a share of its median. */
export const defaultMostSpread = 0.1;

/** Rows that are faster than the roofline. */
export function aboveRoof(results: readonly BenchResult[]): BenchResult[] {
  return results.filter(({ share_of_roofline }) => share_of_roofline > 1);
}

/**
 * What the marks ~ (unsteady) and * (faster than the roofline) mean; only of those that are there.
 *
 * @param mostSpread spread that a steady case has at most, as a share
 */
export function markNotes(results: readonly BenchResult[], mostSpread: number): string[] {
  const unsteady = results.filter((r) => r.unsteady).length;
  const above = aboveRoof(results).length;
  return [
    ...(unsteady
      ? [
          `~ ${unsteady} of ${results.length} cases stayed unsteady: the spread was above ` +
            `${(100 * mostSpread).toFixed(0)} % in three measurements, of which the steadiest counts. ` +
            'Close other programs, or keep the clock fixed.',
        ]
      : []),
    ...(above
      ? [
          `* ${above} of ${results.length} cases beat the roofline: ` +
            (results.some(({ bound }) => bound)
              ? 'the best multiply-adds and copies of their size, measured before them. The machine was ' +
                'slower then, or operands lay in a cache.'
              : 'an earlier version took large copies by a kernel for the roof of memory.'),
        ]
      : []),
  ];
}
