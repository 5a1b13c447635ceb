/**
 * AUPRO as RD4AD's code computes it for one image (method, 3.14). It rescales the rates of each image, so it
 * is another quantity than the AUPRO of `pixels.ts`.
 */

const steps = 200;
const limit = 0.3;

/**
 * @param labels regions of the truth, 0 = good, 1 to sizes.length
 * @param inspected 1 where a pixel counts; undefined where all do
 * @returns null where the map is constant or no threshold gives a rate below the limit
 */
export function perImageOverlap(
  map: Float32Array,
  labels: Uint32Array,
  sizes: readonly number[],
  inspected?: Uint8Array | undefined,
): number | null {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (let p = 0; p < map.length; p++) {
    if (inspected && !inspected[p]) continue;
    const value = map[p] as number;
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  const step = (max - min) / steps;
  if (!(step > 0)) return null;
  // A pixel counts for the thresholds min + i * step that lie below it; reached[i] gains those that end at i.
  const alarmsEnding = new Float64Array(steps + 1);
  const overlapEnding = new Float64Array(steps + 1);
  let good = 0;
  for (let p = 0; p < map.length; p++) {
    if (inspected && !inspected[p]) continue;
    const value = map[p] as number;
    let below = Math.min(steps, Math.max(0, Math.ceil((value - min) / step)));
    while (below > 0 && min + (below - 1) * step >= value) below--;
    while (below < steps && min + below * step < value) below++;
    const label = labels[p] as number;
    if (label)
      overlapEnding[below] =
        (overlapEnding[below] as number) + 1 / ((sizes[label - 1] as number) * sizes.length);
    else {
      alarmsEnding[below] = (alarmsEnding[below] as number) + 1;
      good++;
    }
  }
  if (!good) return null;
  // Curve points by falling threshold: rising rates.
  const rates: number[] = [];
  const overlaps: number[] = [];
  let [alarms, overlap] = [0, 0];
  for (let i = steps - 1; i >= 0; i--) {
    alarms += alarmsEnding[i + 1] as number;
    overlap += overlapEnding[i + 1] as number;
    if (alarms / good >= limit) break;
    rates.push(alarms / good);
    overlaps.push(overlap);
  }
  const largest = rates.at(-1) ?? 0;
  if (!largest) return null;
  let area = 0;
  for (let i = 1; i < rates.length; i++)
    area +=
      (0.5 *
        ((rates[i] as number) - (rates[i - 1] as number)) *
        ((overlaps[i] as number) + (overlaps[i - 1] as number))) /
      largest;
  return area;
}
