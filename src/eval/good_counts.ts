/** How many good pixels of many maps lie between the scores of the defective ones. */
import type { MapStore } from './map_store.ts';

/** A map whose good pixels are counted. */
export interface CountedMap {
  /** In the store. */
  readonly index: number;
  /** One bit per pixel that is defective; undefined for an image without any. */
  readonly truth: Uint8Array | undefined;
  /** 1 where the image is inspected; undefined where all of it is. */
  readonly inspected: Uint8Array | undefined;
}

/** The bits of a truth, from the indices of its defective pixels. */
export function truthBits(pixels: number, defective: Iterable<number>): Uint8Array {
  const bits = new Uint8Array(Math.ceil(pixels / 8));
  for (const i of defective) bits[i >> 3] = (bits[i >> 3] as number) | (1 << (i & 7));
  return bits;
}

/** Ascending integer keys of floats. */
function key(bits: number): number {
  return (bits & 0x80000000 ? ~bits : bits | 0x80000000) >>> 0;
}

/** Good pixels by their place among thresholds. */
export interface GoodCounts {
  /** Below threshold i - 1 and above threshold i; the last one below all. */
  readonly between: Float64Array;
  /** At threshold i. */
  readonly equal: Float64Array;
}

/**
 * Counts good pixels between and at thresholds.
 *
 * @param thresholds distinct, largest first
 */
export async function countGood(
  maps: MapStore,
  counted: readonly CountedMap[],
  thresholds: Float32Array,
): Promise<GoodCounts> {
  const count = thresholds.length;
  const between = new Float64Array(count + 1);
  const equal = new Float64Array(count);
  // For each upper half of a key: how many thresholds are larger. A search then spans few entries.
  const larger = new Uint32Array(65536);
  const bits = new Uint32Array(thresholds.buffer, thresholds.byteOffset, count);
  for (let i = 0; i < count; i++) {
    const upper = key(bits[i] as number) >>> 16;
    larger[upper] = (larger[upper] as number) + 1;
  }
  for (let upper = 65535, sum = 0; upper >= 0; upper--) {
    const here = larger[upper] as number;
    larger[upper] = sum;
    sum += here;
  }
  for (const { index, truth, inspected } of counted) {
    const map = await maps.get(index);
    const mapBits = new Uint32Array(map.buffer, map.byteOffset, map.length);
    for (let i = 0; i < map.length; i++) {
      if (truth && ((truth[i >> 3] as number) >> (i & 7)) & 1) continue;
      if (inspected && !inspected[i]) continue;
      const value = map[i] as number;
      const upper = key(value === 0 ? 0 : (mapBits[i] as number)) >>> 16;
      let low = larger[upper] as number;
      let high = upper === 0 ? count : (larger[upper - 1] as number);
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((thresholds[middle] as number) > value) low = middle + 1;
        else high = middle;
      }
      if (low < count && thresholds[low] === value) equal[low] = (equal[low] as number) + 1;
      else between[low] = (between[low] as number) + 1;
    }
  }
  return { between, equal };
}

/**
 * The area under a segment of a curve, cut off at a limit.
 *
 * @param from x at its beginning
 * @param to x at its end, at least `from`
 * @param start y at its beginning
 * @param end y at its end
 */
export function segmentArea(limit: number, from: number, to: number, start: number, end: number): number {
  if (from >= limit || to === from) return 0;
  const share = Math.min(1, (limit - from) / (to - from));
  return 0.5 * share * (to - from) * (2 * start + share * (end - start));
}
