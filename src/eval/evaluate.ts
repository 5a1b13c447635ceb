/** Evaluates a test set image by image: maps are kept aside, metrics and thresholds come at the end. */

import { InvalidArgumentError, NotFiniteError } from '../base/errors.ts';
import { rangeOf } from '../base/lists.ts';
import type { Sample } from '../data/dataset.ts';
import type { DefectArea } from '../data/defect_areas.ts';
import { bootstrapIntervals, type Interval } from './bootstrap.ts';
import { conditionMetrics, type GroupMetrics, partMetrics } from './conditions.ts';
import { MapStore } from './map_store.ts';
import { type RankMetrics, rankMetrics } from './metrics.ts';
import { PixelEvaluator, type PixelMetrics } from './pixels.ts';
import { saturatedOverlap } from './saturated_overlap.ts';

/** A sample with its result; the map is read back by {@link TestSet.map}. */
export interface TestedImage extends Sample {
  readonly score: number;
  readonly width: number;
  readonly height: number;
  /** 1 where it was inspected, [height, width]; absent where all of it was. */
  readonly inspected?: Uint8Array | undefined;
  /** Whether it counts as defective. */
  readonly anomalous: boolean;
  /** Milliseconds of the device and the host for this image, its batch's share. */
  readonly milliseconds: number;
}

/** What a detector said of one image. */
export interface Result {
  readonly score: number;
  /** [height, width]. */
  readonly map: Float32Array;
  readonly width: number;
  readonly height: number;
  /** 1 where the image is inspected, else 0, [height, width]; absent where all of it is. */
  readonly inspected?: Uint8Array | undefined;
  readonly milliseconds?: number;
}

/** Names as anomalib's; null for what cannot be computed. */
export interface Metrics {
  readonly image_AUROC: number | null;
  readonly pixel_AUROC: number | null;
  /** Data-set level, limit .3. */
  readonly AUPRO: number | null;
  /** Mean over defective images, as RD4AD computes it. */
  readonly AUPRO_per_image: number | null;
  readonly image_AP: number | null;
  readonly pixel_AP: number | null;
  readonly image_F1Max: number | null;
  readonly pixel_F1Max: number | null;
  /** 95 %, bootstrap over images. */
  readonly intervals: {
    readonly image_AUROC: Interval | null;
    readonly image_AP: Interval | null;
    readonly image_F1Max: Interval | null;
  };
  /** Only where the data set says from which area on a defect is found (MVTec LOCO AD). */
  readonly saturated?: SaturatedMetrics;
  /** Only where the images are of several lightings or views: each by itself. */
  readonly conditions?: { readonly [condition: string]: GroupMetrics };
  /** Only where several images show one part: parts against each other, by their largest scores. */
  readonly parts?: GroupMetrics;
}

/** Metrics by kind of defect: each kind and the good images alone, as MVTec LOCO AD reports them. */
export interface SaturatedMetrics {
  /** Mean over the kinds. */
  readonly image_AUROC: number | null;
  /** Area under the saturated per-region overlap up to a false-positive rate of .05; mean over the kinds. */
  readonly AUsPRO: number | null;
  readonly kinds: {
    readonly [kind: string]: { readonly image_AUROC: number | null; readonly AUsPRO: number | null };
  };
}

/** Null where one of the values is not known. */
function meanOf(values: readonly (number | null)[]): number | null {
  let sum = 0;
  for (const value of values) {
    if (value === null) return null;
    sum += value;
  }
  return values.length ? sum / values.length : null;
}

/** What a test set gave: metrics, the thresholds of largest F1, and the ranges of scores. */
export interface Evaluation {
  readonly metrics: Metrics;
  readonly image: RankMetrics | null;
  readonly pixel: PixelMetrics | null;
  readonly imageRange: { readonly min: number; readonly max: number };
  readonly pixelRange: { readonly min: number; readonly max: number };
  /** Images whose label by mask differs from their folder's. */
  readonly relabelled: number;
  /** Defective images that count as good, for all of their defect lies where nothing is inspected. */
  readonly outside: number;
}

/**
 * `folder`: the folder's name decides; `mask`: an image is defective where its resized mask is not empty (the
 * authors' way).
 */
export type Labels = 'folder' | 'mask';

/** Collects results of test images and computes the metrics over all of them (docs/method.md, metrics). */
export class TestSet {
  readonly #maps = new MapStore();
  readonly #pixels = new PixelEvaluator(this.#maps);
  readonly #images: TestedImage[] = [];
  /** By the numbers of the images; those of good images are empty. */
  readonly #areas = new Map<number, readonly DefectArea[]>();
  readonly #labels: Labels;
  #relabelled = 0;
  #outside = 0;

  /**
   * An empty test set.
   *
   * @param labels whether the folder or the mask says what an image is
   */
  constructor(labels: Labels = 'folder') {
    this.#labels = labels;
  }

  get images(): readonly TestedImage[] {
    return this.#images;
  }

  /**
   * Adds a result. Pixels that are not inspected count for nothing: metrics, ranges and truth are without
   * them, and an image is good where its truth marks nothing else.
   *
   * @param truth 0/1 [height, width], all zero for good images; undefined where a defect has no mask
   * @param areas the defects one by one, where it is known from which area on each is found
   * @throws Error where the score or the map is not finite
   */
  async add(
    sample: Sample,
    result: Result,
    truth: Uint8Array | undefined,
    areas?: readonly DefectArea[] | undefined,
  ): Promise<void> {
    const { score, map, width, height, inspected, milliseconds = 0 } = result;
    if (!Number.isFinite(score))
      throw new NotFiniteError(`${sample.path}: the score is ${score}; the model's weights are unusable`);
    const byFolder = sample.defect !== 'good';
    const labelled = this.#labels === 'mask' && truth ? truth.includes(1) : byFolder;
    if (labelled !== byFolder) this.#relabelled++;
    const counted = inspected && truth ? truth.map((value, i) => (inspected[i] ? value : 0)) : truth;
    const outside = labelled && truth?.includes(1) === true && counted?.includes(1) === false;
    if (outside) this.#outside++;
    const anomalous = labelled && !outside;
    const index = await this.#maps.add(map);
    if (truth && (areas || !anomalous)) this.#areas.set(index, anomalous ? (areas ?? []) : []);
    this.#pixels.add(index, map, counted, height, width, inspected);
    this.#images.push({
      ...sample,
      score,
      width,
      height,
      ...(inspected && { inspected }),
      anomalous,
      milliseconds,
    });
  }

  /** The map of image i, [height, width]. */
  map(i: number): Promise<Float32Array> {
    return this.#maps.get(i);
  }

  /** Undefined where no defect says from which area on it is found. */
  async #saturated(): Promise<SaturatedMetrics | undefined> {
    const known = [...this.#areas].map(([index, areas]) => {
      const image = this.#images[index] as TestedImage;
      return { ...image, index, areas, inspected: image.inspected };
    });
    const defective = known.filter(({ areas }) => areas.length);
    if (!defective.length) return undefined;
    const kinds: Record<string, { image_AUROC: number | null; AUsPRO: number | null }> = {};
    for (const kind of [...new Set(defective.map(({ defect }) => defect))].sort()) {
      const judged = this.#images.filter(({ anomalous, defect }) => !anomalous || defect === kind);
      const image = rankMetrics(
        Float32Array.from(judged, ({ score }) => score),
        judged.map(({ anomalous }) => (anomalous ? 1 : 0)),
      );
      const pixels = known.filter(({ anomalous, defect }) => !anomalous || defect === kind);
      kinds[kind] = {
        image_AUROC: image?.auroc ?? null,
        AUsPRO: await saturatedOverlap(this.#maps, pixels),
      };
    }
    const all = Object.values(kinds);
    return {
      image_AUROC: meanOf(all.map((each) => each.image_AUROC)),
      AUsPRO: meanOf(all.map((each) => each.AUsPRO)),
      kinds,
    };
  }

  /** Metrics of everything added. */
  async evaluate(): Promise<Evaluation> {
    if (!this.#images.length) throw new InvalidArgumentError('there are no images to evaluate');
    const scores = Float32Array.from(this.#images, ({ score }) => score);
    const labels = this.#images.map(({ anomalous }) => (anomalous ? 1 : 0));
    const image = rankMetrics(scores, labels);
    const pixel = await this.#pixels.finish();
    const intervals = bootstrapIntervals(scores, labels);
    const saturated = await this.#saturated();
    const conditions = conditionMetrics(this.#images);
    const parts = partMetrics(this.#images);
    return {
      metrics: {
        image_AUROC: image?.auroc ?? null,
        pixel_AUROC: pixel?.auroc ?? null,
        AUPRO: pixel?.aupro ?? null,
        AUPRO_per_image: pixel?.auproPerImage ?? null,
        image_AP: image?.averagePrecision ?? null,
        pixel_AP: pixel?.averagePrecision ?? null,
        image_F1Max: image?.f1Max ?? null,
        pixel_F1Max: pixel?.f1Max ?? null,
        intervals: {
          image_AUROC: intervals?.auroc ?? null,
          image_AP: intervals?.averagePrecision ?? null,
          image_F1Max: intervals?.f1Max ?? null,
        },
        ...(saturated && { saturated }),
        ...(conditions && { conditions }),
        ...(parts && { parts }),
      },
      image,
      pixel,
      imageRange: rangeOf(scores),
      pixelRange: this.#pixels.range,
      relabelled: this.#relabelled,
      outside: this.#outside,
    };
  }

  /** Frees the maps that are kept. */
  close(): Promise<void> {
    return this.#maps.close();
  }
}
