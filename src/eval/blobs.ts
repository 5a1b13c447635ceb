/** Marked regions of a map. */
import { rangeOf } from '../base/lists.ts';
import { connectedComponents } from './metrics.ts';
import { type Calibration, maskOf } from './thresholds.ts';

export interface Blob {
  /** Share of the map at or above the threshold, 0 to 1. */
  readonly area: number;
  /**
   * Box of the largest marked region in map pixels: x, y, width, height; undefined where nothing is marked.
   */
  readonly box: readonly [number, number, number, number] | undefined;
}

export function largestBlob(map: Float32Array, width: number, height: number, pixel: Calibration): Blob {
  const mask = maskOf(map, pixel);
  const { labels, sizes } = connectedComponents(mask, height, width);
  if (!sizes.length) return { area: 0, box: undefined };
  const largest = sizes.indexOf(rangeOf(sizes).max) + 1;
  let [left, top, right, bottom] = [width, height, -1, -1];
  labels.forEach((label, i) => {
    if (label !== largest) return;
    const [x, y] = [i % width, Math.floor(i / width)];
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  });
  const marked = sizes.reduce((sum, size) => sum + size, 0);
  return { area: marked / map.length, box: [left, top, right - left + 1, bottom - top + 1] };
}
