/**
 * Pixel metrics over a test set of any size (method, 3.14): exact, with ties, and without all pixels in
 * memory. A curve changes direction only at scores of defective pixels. Those, a few per cent, are sorted;
 * the good pixels are counted between them, map by map. Maps wait in a `MapStore` until all defective pixels
 * are known.
 */
import { type CountedMap, countGood, segmentArea, truthBits } from './good_counts.ts';
import { GrowingFloats, GrowingIntegers } from './growing.ts';
import type { MapStore } from './map_store.ts';
import { connectedComponents, descending, type RankMetrics } from './metrics.ts';
import { perImageOverlap } from './per_image_overlap.ts';

/** Metrics of the pixels of a test set. */
export interface PixelMetrics extends RankMetrics {
  /** Area under the per-region-overlap curve up to the limit, over all images: MVTec's definition. */
  readonly aupro: number;
  /** RD4AD's: the mean of each defective image's own, with 200 thresholds; not comparable with `aupro`. */
  readonly auproPerImage: number | null;
  /** (false-positive rate, true-positive rate), some 200 points for drawing. */
  readonly roc: readonly Point[];
  /** (recall, precision). */
  readonly precisionRecall: readonly Point[];
  /** (false-positive rate, per-region overlap). */
  readonly overlapCurve: readonly Point[];
}

/** A point of a curve: x, y. */
export type Point = readonly [number, number];

export class PixelEvaluator {
  readonly #maps: MapStore;
  readonly #entries: CountedMap[] = [];
  readonly #scores = new GrowingFloats();
  readonly #regions = new GrowingIntegers();
  readonly #regionSizes: number[] = [];
  readonly #perImage: number[] = [];
  #pixels = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;

  constructor(maps: MapStore) {
    this.#maps = maps;
  }

  /** Smallest and largest value of all maps. */
  get range(): { min: number; max: number } {
    return { min: this.#min, max: this.#max };
  }

  /**
   * Adds an image.
   *
   * @param index of the map in the store
   * @param truth 0/1 [height, width], 0 where it is not inspected; undefined where it is not known: the map
   *   then only counts for the range
   * @param inspected 1 where the image is inspected, else 0, [height, width]: other pixels count for nothing;
   *   undefined where all of it is
   * @throws Error on NaN
   */
  add(
    index: number,
    map: Float32Array,
    truth: Uint8Array | undefined,
    height: number,
    width: number,
    inspected?: Uint8Array | undefined,
  ): void {
    if (map.length !== height * width || (truth && truth.length !== map.length))
      throw new Error(
        `map ${index} has ${map.length} values, its truth ${truth?.length}, for ${height}x${width} pixels`,
      );
    if (inspected && inspected.length !== map.length)
      throw new Error(`map ${index} has ${map.length} values, its inspected part ${inspected.length}`);
    let counted = 0;
    for (let i = 0; i < map.length; i++) {
      const value = map[i] as number;
      if (Number.isNaN(value)) throw new Error(`map ${index} holds NaN`);
      if (inspected && !inspected[i]) continue;
      counted++;
      if (value < this.#min) this.#min = value;
      if (value > this.#max) this.#max = value;
    }
    if (!truth) return;
    this.#pixels += counted;
    if (!truth.includes(1)) {
      this.#entries.push({ index, truth: undefined, inspected });
      return;
    }
    const { labels, sizes } = connectedComponents(truth, height, width);
    const defective: number[] = [];
    for (let i = 0; i < map.length; i++) {
      if (!labels[i]) continue;
      defective.push(i);
      // Adding 0 makes -0 and 0 one key.
      this.#scores.push((map[i] as number) + 0);
      this.#regions.push(this.#regionSizes.length + (labels[i] as number) - 1);
    }
    for (const size of sizes) this.#regionSizes.push(size);
    this.#entries.push({ index, truth: truthBits(map.length, defective), inspected });
    const overlap = perImageOverlap(map, labels, sizes, inspected);
    if (overlap !== null) this.#perImage.push(overlap);
  }

  /**
   * The metrics of everything added; null without defective or without good pixels.
   *
   * @param limit false-positive rate up to which AUPRO integrates
   */
  async finish(limit = 0.3): Promise<PixelMetrics | null> {
    const scores = this.#scores.values;
    const positives = scores.length;
    const negatives = this.#pixels - positives;
    if (!positives || !negatives) return null;
    const order = descending(scores);
    const thresholds = new GrowingFloats();
    const hitsAt: number[] = [];
    const overlapAt: number[] = [];
    const regions = this.#regions.values;
    const regionCount = this.#regionSizes.length;
    for (let i = 0; i < positives; ) {
      const score = scores[order[i] as number] as number;
      let overlap = 0;
      const start = i;
      for (; i < positives && scores[order[i] as number] === score; i++)
        overlap += 1 / ((this.#regionSizes[regions[order[i] as number] as number] as number) * regionCount);
      thresholds.push(score);
      hitsAt.push(i - start);
      overlapAt.push(overlap);
    }
    const { between, equal } = await countGood(this.#maps, this.#entries, thresholds.values);
    return {
      ...sweep({
        thresholds: thresholds.values,
        hitsAt,
        overlapAt,
        between,
        equal,
        positives,
        negatives,
        limit,
      }),
      auproPerImage: this.#perImage.length
        ? this.#perImage.reduce((sum, value) => sum + value, 0) / this.#perImage.length
        : null,
    };
  }
}

interface Counted {
  readonly thresholds: Float32Array;
  readonly hitsAt: readonly number[];
  readonly overlapAt: readonly number[];
  readonly between: Float64Array;
  readonly equal: Float64Array;
  readonly positives: number;
  readonly negatives: number;
  readonly limit: number;
}

const curvePoints = 200;

/** One pass over the thresholds from the largest: all curves and areas. */
function sweep(c: Counted): Omit<PixelMetrics, 'auproPerImage'> {
  const { positives, negatives, limit } = c;
  const count = c.thresholds.length;
  let [hits, alarms, overlap] = [0, 0, 0];
  let [auroc, averagePrecision, aupro] = [0, 0, 0];
  let [f1Max, f1Threshold] = [0, Number.NaN];
  const curves = {
    roc: [[0, 0]] as Point[],
    precisionRecall: [] as Point[],
    overlapCurve: [[0, 0]] as Point[],
  };
  const integrate = (from: number, to: number, start: number, end: number) => {
    aupro += segmentArea(limit, from, to, start, end);
  };
  for (let i = 0; i < count; i++) {
    const good = c.between[i] as number;
    auroc += good * hits;
    integrate(alarms / negatives, (alarms + good) / negatives, overlap, overlap);
    alarms += good;
    const [here, tied, added] = [c.hitsAt[i] as number, c.equal[i] as number, c.overlapAt[i] as number];
    auroc += tied * (hits + here / 2);
    integrate(alarms / negatives, (alarms + tied) / negatives, overlap, overlap + added);
    hits += here;
    alarms += tied;
    overlap += added;
    const precision = hits / (hits + alarms);
    averagePrecision += (here / positives) * precision;
    const f1 = (2 * hits) / (hits + alarms + positives);
    if (f1 > f1Max) [f1Max, f1Threshold] = [f1, c.thresholds[i] as number];
    if (i === count - 1 || Math.floor((hits / positives) * curvePoints) > curves.precisionRecall.length) {
      curves.roc.push([alarms / negatives, hits / positives]);
      curves.precisionRecall.push([hits / positives, precision]);
      curves.overlapCurve.push([alarms / negatives, overlap]);
    }
  }
  const rest = c.between[count] as number;
  auroc += rest * hits;
  integrate(alarms / negatives, (alarms + rest) / negatives, overlap, overlap);
  curves.roc.push([1, 1]);
  curves.overlapCurve.push([1, 1]);
  return {
    auroc: auroc / (positives * negatives),
    averagePrecision,
    f1Max,
    f1Threshold,
    aupro: aupro / limit,
    ...curves,
  };
}
