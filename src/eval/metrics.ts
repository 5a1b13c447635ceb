/**
 * Detection metrics of a list of scores (method, 3.14): AUROC, average precision, F1-max. Exact: one sort,
 * ties handled as one threshold. Null where undefined. Pixels of a whole test set go through `pixels.ts`.
 */
import { InvalidArgumentError } from '../base/errors.ts';

/** Indices that sort scores from the largest to the smallest (radix sort on the float bits). */
export function descending(scores: Float32Array): Uint32Array {
  const count = scores.length;
  const bits = new Uint32Array(scores.buffer, scores.byteOffset, count);
  // Order-preserving keys, inverted so that an ascending sort gives descending scores.
  const keys = bits.map((b) => ~((b & 0x80000000 ? ~b : b | 0x80000000) >>> 0) >>> 0);
  let order = Uint32Array.from({ length: count }, (_, i) => i);
  let other = new Uint32Array(count);
  for (let shift = 0; shift < 32; shift += 16) {
    const starts = new Uint32Array(65537);
    for (let i = 0; i < count; i++) {
      const digit = ((keys[i] as number) >>> shift) & 0xffff;
      starts[digit + 1] = (starts[digit + 1] as number) + 1;
    }
    for (let digit = 0; digit < 65536; digit++)
      starts[digit + 1] = (starts[digit + 1] as number) + (starts[digit] as number);
    for (let i = 0; i < count; i++) {
      const index = order[i] as number;
      const digit = ((keys[index] as number) >>> shift) & 0xffff;
      other[starts[digit] as number] = index;
      starts[digit] = (starts[digit] as number) + 1;
    }
    [order, other] = [other, order];
  }
  return order;
}

/** Metrics of scores against labels, each 0 to 1. */
export interface RankMetrics {
  /** Rank statistic, ties count one half. */
  readonly auroc: number;
  /** Sum of (R_n - R_n-1) P_n. */
  readonly averagePrecision: number;
  readonly f1Max: number;
  /** Score at which F1 is largest, with prediction score >= threshold. */
  readonly f1Threshold: number;
}

/**
 * @param labels 1 for anomalous
 * @returns null where one of the classes is absent
 */
export function rankMetrics(scores: Float32Array, labels: ArrayLike<number>): RankMetrics | null {
  if (scores.length !== labels.length)
    throw new InvalidArgumentError(`${scores.length} scores but ${labels.length} labels`);
  if (scores.some(Number.isNaN)) throw new InvalidArgumentError('a score is NaN');
  let positives = 0;
  for (let i = 0; i < labels.length; i++) positives += labels[i] ? 1 : 0;
  const negatives = labels.length - positives;
  if (!positives || !negatives) return null;
  const order = descending(scores);
  let hits = 0;
  let alarms = 0;
  let area = 0;
  let precisionSum = 0;
  let f1Max = 0;
  let f1Threshold = Number.NaN;
  for (let i = 0; i < order.length; ) {
    const score = scores[order[i] as number] as number;
    const hitsBefore = hits;
    const alarmsBefore = alarms;
    for (; i < order.length && scores[order[i] as number] === score; i++) {
      if (labels[order[i] as number]) hits++;
      else alarms++;
    }
    area += (alarms - alarmsBefore) * (hits + hitsBefore) * 0.5;
    precisionSum += ((hits - hitsBefore) / positives) * (hits / (hits + alarms));
    const f1 = (2 * hits) / (hits + alarms + positives);
    if (f1 > f1Max) [f1Max, f1Threshold] = [f1, score];
  }
  return { auroc: area / (positives * negatives), averagePrecision: precisionSum, f1Max, f1Threshold };
}

/**
 * Points of the curves behind {@link rankMetrics}, one per distinct score: (false-positive, true-positive
 * rate) and (recall, precision).
 */
export function rankCurves(
  scores: Float32Array,
  labels: ArrayLike<number>,
): { roc: [number, number][]; precisionRecall: [number, number][] } {
  const order = descending(scores);
  const positives = order.reduce((sum, i) => sum + (labels[i] ? 1 : 0), 0);
  const negatives = scores.length - positives;
  const roc: [number, number][] = [[0, 0]];
  const precisionRecall: [number, number][] = [];
  let [hits, alarms] = [0, 0];
  order.forEach((index, rank) => {
    if (labels[index]) hits++;
    else alarms++;
    const next = order[rank + 1];
    if (next !== undefined && scores[next] === scores[index]) return;
    roc.push([alarms / negatives, hits / positives]);
    precisionRecall.push([hits / positives, hits / (hits + alarms)]);
  });
  return { roc, precisionRecall };
}

/** Labels 8-connected components of 0/1 masks [n, height, width], numbered from 1 over all masks. */
export function connectedComponents(
  masks: ArrayLike<number>,
  height: number,
  width: number,
): { labels: Uint32Array; sizes: number[] } {
  const labels = new Uint32Array(masks.length);
  const sizes: number[] = [];
  const area = height * width;
  const stack: number[] = [];
  for (let start = 0; start < masks.length; start++) {
    if (!masks[start] || labels[start]) continue;
    const label = sizes.push(0);
    const base = Math.floor(start / area) * area;
    labels[start] = label;
    stack.push(start);
    for (let pixel = stack.pop(); pixel !== undefined; pixel = stack.pop()) {
      sizes[label - 1] = (sizes[label - 1] as number) + 1;
      const y = Math.floor((pixel - base) / width);
      const x = (pixel - base) % width;
      for (let dy = -1; dy <= 1; dy++)
        for (let dx = -1; dx <= 1; dx++) {
          if (y + dy < 0 || y + dy >= height || x + dx < 0 || x + dx >= width) continue;
          const neighbour = pixel + dy * width + dx;
          if (masks[neighbour] && !labels[neighbour]) {
            labels[neighbour] = label;
            stack.push(neighbour);
          }
        }
    }
  }
  return { labels, sizes };
}
