/** What is said of a region of interest. */
import { inspectedShare, type RegionOfInterest } from './region.ts';

/** Pixels a side that shares are counted at. */
const side = 1024;

/** The region in a few words. */
export function regionWords(region: RegionOfInterest): string {
  return `${(100 * inspectedShare(region, side)).toFixed(1)} % of the image is inspected`;
}

/** What a region does to the figures of a test. */
export function regionNote(region: RegionOfInterest, outside: number): string {
  const ignored =
    outside === 1
      ? '1 defect lies outside of it: its image counts as good'
      : `${outside} images have their defects outside of it alone and count as good`;
  return (
    `region of interest: ${regionWords(region)}; the other pixels are in no metric` +
    (outside ? `. ${ignored}` : '')
  );
}
