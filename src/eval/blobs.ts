/** Marked regions of a map. */
import { connectedComponents } from './metrics.ts';
import { type Calibration, normalizeScore } from './thresholds.ts';

/** A box in map pixels: x, y, width, height. */
export type Box = readonly [x: number, y: number, width: number, height: number];

/** A marked region: neighbouring marked pixels, diagonals included. */
export interface Region {
  readonly pixels: number;
  /** Its share of the map, 0 to 1. */
  readonly area: number;
  readonly box: Box;
  /** The largest value in it, normalised: 0.5 is at the limit, 1 the most. */
  readonly peak: number;
}

export interface Blob {
  /** Share of the map that is marked, 0 to 1. */
  readonly area: number;
  /** Box of the largest marked region; undefined where nothing is marked. */
  readonly box: Box | undefined;
}

/** Marked pixels as 0/1 [height, width]. */
export interface Mask {
  readonly mask: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** A map [height, width] with what is marked in it. */
export interface MarkedMap extends Mask {
  readonly map: Float32Array;
}

interface Extent {
  readonly box: Box;
  readonly pixels: number;
  /** The largest of the values that were given. */
  readonly peak: number;
}

/** Boxes of a mask's regions, from the top left; with the largest of the pixels' values. */
function extents({ mask, width, height }: Mask, values?: Float32Array): Extent[] {
  const { labels, sizes } = connectedComponents(mask, height, width);
  const boxes = sizes.map(() => ({ left: width, top: height, right: -1, bottom: -1, peak: -Infinity }));
  labels.forEach((label, i) => {
    const box = boxes[label - 1];
    if (!box) return;
    const [x, y] = [i % width, Math.floor(i / width)];
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y);
    if (values) box.peak = Math.max(box.peak, values[i] as number);
  });
  return boxes.map(({ left, top, right, bottom, peak }, i) => ({
    box: [left, top, right - left + 1, bottom - top + 1],
    pixels: sizes[i] as number,
    peak,
  }));
}

/**
 * All marked regions, the largest first; equal ones from the top left.
 *
 * @param marked a map with its marks, as `markedPixels` draws them
 * @param scale of the values of maps
 */
export function markedRegions(marked: MarkedMap, scale: Calibration): Region[] {
  return extents(marked, marked.map)
    .map(
      ({ box, pixels, peak }): Region => ({
        pixels,
        area: pixels / marked.map.length,
        box,
        peak: normalizeScore(peak, scale),
      }),
    )
    .sort((a, b) => b.pixels - a.pixels);
}

export function largestBlob(marked: MarkedMap, scale: Calibration): Blob {
  const regions = markedRegions(marked, scale);
  return {
    area: regions.reduce((sum, { pixels }) => sum + pixels, 0) / marked.map.length,
    box: regions[0]?.box,
  };
}

// Of the map's side: a smaller outline is hardly seen.
const leastShare = 1 / 36;

/**
 * The mask as it is outlined: its smallest regions are grown to a square that one sees. Areas, boxes and the
 * mask itself stay as they are.
 */
export function visibleMask(marked: Mask): Uint8Array {
  const { mask, width, height } = marked;
  const side = Math.max(3, Math.round(leastShare * Math.max(width, height)));
  const grown = Uint8Array.from(mask);
  for (const { box } of extents(marked)) {
    const [x, y, w, h] = box;
    if (Math.max(w, h) >= side) continue;
    const [left, top] = [x + (w >> 1) - (side >> 1), y + (h >> 1) - (side >> 1)];
    for (let row = Math.max(0, top); row < Math.min(height, top + side); row++)
      grown.fill(1, row * width + Math.max(0, left), row * width + Math.min(width, left + side));
  }
  return grown;
}
