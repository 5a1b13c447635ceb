/** Evaluates maps and scores over a test set: thresholds first, then the metrics. */
import { aupro, type RankMetrics, rankMetrics } from './metrics.ts';
import { type Calibration, calibrate } from './thresholds.ts';

export interface EvaluatedImage {
  readonly path: string;
  readonly stem: string;
  readonly defect: string;
  readonly score: number;
  /** Raw map [size, size]. */
  readonly map: Float32Array;
  /** 0/1 [size, size]. */
  readonly truth: Uint8Array;
  /** Whether the truth is known: good images, and defects with a mask. */
  readonly hasTruth: boolean;
}

/** Names as anomalib's; null for what cannot be computed. */
export interface Metrics {
  readonly image_AUROC: number | null;
  readonly pixel_AUROC: number | null;
  readonly AUPRO: number | null;
  readonly image_AP: number | null;
  readonly image_F1Max: number | null;
  readonly pixel_F1Max: number | null;
}

export interface Evaluation {
  readonly metrics: Metrics;
  readonly image: Calibration;
  readonly pixel: Calibration;
}

function join<T extends Float32Array | Uint8Array>(parts: readonly T[], result: T): T {
  let offset = 0;
  for (const part of parts) {
    result.set(part as never, offset);
    offset += part.length;
  }
  return result;
}

/** Metrics and thresholds of a set of results at one map size. */
export function evaluate(images: readonly EvaluatedImage[], size: number): Evaluation {
  const scores = Float32Array.from(images, ({ score }) => score);
  const labels = images.map(({ defect }) => (defect === 'good' ? 0 : 1));
  const image = rankMetrics(scores, labels);
  const known = images.filter(({ hasTruth }) => hasTruth);
  const area = size * size;
  const maps = join(
    known.map(({ map }) => map),
    new Float32Array(known.length * area),
  );
  const truths = join(
    known.map(({ truth }) => truth),
    new Uint8Array(known.length * area),
  );
  const pixel: RankMetrics | null = known.length ? rankMetrics(maps, truths) : null;
  const anyMap = known.length
    ? maps
    : join(
        images.map(({ map }) => map),
        new Float32Array(images.length * area),
      );
  return {
    metrics: {
      image_AUROC: image?.auroc ?? null,
      pixel_AUROC: pixel?.auroc ?? null,
      AUPRO: known.length ? aupro(maps, truths, size, size) : null,
      image_AP: image?.averagePrecision ?? null,
      image_F1Max: image?.f1Max ?? null,
      pixel_F1Max: pixel?.f1Max ?? null,
    },
    image: calibrate(scores, image),
    pixel: calibrate(anyMap, pixel),
  };
}
