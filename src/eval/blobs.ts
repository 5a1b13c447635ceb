/** Marked regions of a map. */
import { connectedComponents } from './metrics.ts';
import { type Calibration, maskOf, normalizeScore } from './thresholds.ts';

/** A marked region: neighbouring pixels at or above the threshold, diagonals included. */
export interface Region {
  readonly pixels: number;
  /** Its share of the map, 0 to 1. */
  readonly area: number;
  /** Its box in map pixels: x, y, width, height. */
  readonly box: readonly [number, number, number, number];
  /** The largest value in it, normalised: 0.5 is at the threshold, 1 the most. */
  readonly peak: number;
}

export interface Blob {
  /** Share of the map at or above the threshold, 0 to 1. */
  readonly area: number;
  /**
   * Box of the largest marked region in map pixels: x, y, width, height; undefined where nothing is marked.
   */
  readonly box: readonly [number, number, number, number] | undefined;
}

/** All marked regions, the largest first; equal ones from the top left. */
export function markedRegions(
  map: Float32Array,
  width: number,
  height: number,
  pixel: Calibration,
): Region[] {
  const { labels, sizes } = connectedComponents(maskOf(map, pixel), height, width);
  const boxes = sizes.map(() => ({ left: width, top: height, right: -1, bottom: -1, peak: -Infinity }));
  labels.forEach((label, i) => {
    const box = boxes[label - 1];
    if (!box) return;
    const [x, y] = [i % width, Math.floor(i / width)];
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y);
    box.peak = Math.max(box.peak, map[i] as number);
  });
  return boxes
    .map(
      ({ left, top, right, bottom, peak }, i): Region => ({
        pixels: sizes[i] as number,
        area: (sizes[i] as number) / map.length,
        box: [left, top, right - left + 1, bottom - top + 1],
        peak: normalizeScore(peak, pixel),
      }),
    )
    .sort((a, b) => b.pixels - a.pixels);
}

export function largestBlob(map: Float32Array, width: number, height: number, pixel: Calibration): Blob {
  const regions = markedRegions(map, width, height, pixel);
  return {
    area: regions.reduce((sum, { pixels }) => sum + pixels, 0) / map.length,
    box: regions[0]?.box,
  };
}
