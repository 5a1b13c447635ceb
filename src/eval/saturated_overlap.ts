/**
 * The saturated per-region overlap of MVTec LOCO AD (Bergmann et al., 2022, "Beyond Dents and Scratches",
 * https://doi.org/10.1007/s11263-022-01578-9): a defect is found whole where the area of its saturation is
 * covered. Exact, with ties; maps wait in a `MapStore`.
 */
import type { DefectArea } from '../data/defect_areas.ts';
import { type CountedMap, countGood, segmentArea, truthBits } from './good_counts.ts';
import type { MapStore } from './map_store.ts';
import { descending } from './metrics.ts';

/** An image and its defects. */
export interface AreaImage {
  /** Of the map in the store. */
  readonly index: number;
  /** None for a good image. */
  readonly areas: readonly DefectArea[];
  /** 1 where the image is inspected; undefined where all of it is. */
  readonly inspected: Uint8Array | undefined;
}

/** Defects without the pixels that are not inspected; those of which nothing is left are left out. */
function inspectedAreas({ areas, inspected }: AreaImage): DefectArea[] {
  if (!inspected) return [...areas];
  return areas.flatMap(({ pixels, saturation }) => {
    const left = pixels.filter((i) => inspected[i]);
    return left.length ? [{ pixels: left, saturation: Math.min(saturation, left.length) }] : [];
  });
}

/**
 * Area under the saturated overlap against the rate of false pixels, up to a limit and divided by it. The
 * rate counts the pixels of all images that no mask marks.
 *
 * @param limit false-positive rate, above 0, at most 1
 * @returns 0 to 1; null without defects or without good pixels
 */
export async function saturatedOverlap(
  maps: MapStore,
  images: readonly AreaImage[],
  limit = 0.05,
): Promise<number | null> {
  const counted: CountedMap[] = [];
  const saturations: number[] = [];
  const scores: number[] = [];
  const areaOf: number[] = [];
  let good = 0;
  for (const image of images) {
    const { index, inspected } = image;
    const map = await maps.get(index);
    const areas = inspectedAreas(image);
    const defective = new Set<number>();
    for (const { pixels, saturation } of areas) {
      for (const i of pixels) {
        // Adding 0 makes -0 and 0 one score.
        scores.push((map[i] as number) + 0);
        areaOf.push(saturations.length);
        defective.add(i);
      }
      saturations.push(saturation);
    }
    const pixels = inspected ? inspected.reduce((sum, value) => sum + value, 0) : map.length;
    good += pixels - defective.size;
    counted.push({ index, truth: areas.length ? truthBits(map.length, defective) : undefined, inspected });
  }
  if (!saturations.length || !good) return null;
  const values = Float32Array.from(scores);
  const order = descending(values);
  const thresholds = values.length ? Float32Array.from(new Set(values)).sort().reverse() : values;
  const { between, equal } = await countGood(maps, counted, thresholds);
  const covered = new Uint32Array(saturations.length);
  let [at, alarms, overlap, area] = [0, 0, 0, 0];
  const advance = (pixels: number, gained: number) => {
    area += segmentArea(limit, alarms / good, (alarms + pixels) / good, overlap, overlap + gained);
    alarms += pixels;
    overlap += gained;
  };
  for (let i = 0; i < thresholds.length; i++) {
    advance(between[i] as number, 0);
    let gained = 0;
    for (; at < order.length && values[order[at] as number] === thresholds[i]; at++) {
      const which = areaOf[order[at] as number] as number;
      const saturation = saturations[which] as number;
      const before = covered[which] as number;
      covered[which] = before + 1;
      gained += (Math.min(saturation, before + 1) - Math.min(saturation, before)) / saturation;
    }
    advance(equal[i] as number, gained / saturations.length);
  }
  advance(between[thresholds.length] as number, 0);
  return area / limit;
}
