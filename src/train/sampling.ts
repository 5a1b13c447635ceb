/** Labels at feature size and the sampling of positions for the amplification loss (method, 3.9). */
import type { RandomStream } from '../base/random.ts';
import { defaultRowLimits, rowCapacity } from '../model/amplification.ts';

/** Share of a cell that must be covered for its label to be 1. */
const coverage = 0.3;

/** Index that stands for "no row" in a list of positions. */
export const noRow = 0xffffffff;

/**
 * Average-pools 0/1 masks to a grid and thresholds at 0.3.
 *
 * @param mask [batch, size, size]
 * @returns [batch, side, side] of 0 and 1
 */
export function poolMask(mask: Float32Array, batch: number, size: number, side: number): Float32Array {
  if (size % side) throw new Error(`a mask of ${size} pixels does not divide into ${side} cells`);
  const cell = size / side;
  const result = new Float32Array(batch * side * side);
  for (let image = 0; image < batch; image++)
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++) {
        let sum = 0;
        for (let i = 0; i < cell; i++) {
          const row = (image * size + y * cell + i) * size + x * cell;
          for (let j = 0; j < cell; j++) sum += mask[row + j] as number;
        }
        result[(image * side + y) * side + x] = sum / (cell * cell) > coverage ? 1 : 0;
      }
  return result;
}

export interface SampledRows {
  /** Positions, padded with {@link noRow} to the capacity. */
  readonly normal: Uint32Array;
  readonly abnormal: Uint32Array;
  /** How many of each count. */
  readonly counts: Float32Array;
}

/**
 * Draws normal (not masked, in the foreground) and abnormal (masked) positions of a batch, at most as many as
 * the limits say.
 *
 * @param mask pooled mask over all positions of the batch
 * @param foreground pooled foreground, same size
 */
export function sampleRows(
  mask: Float32Array,
  foreground: Float32Array,
  random: RandomStream,
  limits = defaultRowLimits,
): SampledRows {
  const normals: number[] = [];
  const abnormals: number[] = [];
  for (let p = 0; p < mask.length; p++) {
    if (mask[p]) abnormals.push(p);
    else if (foreground[p]) normals.push(p);
  }
  const capacity = rowCapacity(mask.length, limits);
  const draw = (pool: readonly number[], room: number, limit: number) => {
    const rows = new Uint32Array(room).fill(noRow);
    const chosen = random.sample(pool.length, Math.min(limit, room));
    chosen.forEach((index, i) => {
      rows[i] = pool[index] as number;
    });
    return { rows, count: chosen.length };
  };
  const normal = draw(normals, capacity.normal, limits.normal);
  const abnormal = draw(abnormals, capacity.abnormal, limits.abnormal);
  return {
    normal: normal.rows,
    abnormal: abnormal.rows,
    counts: new Float32Array([normal.count, abnormal.count]),
  };
}
