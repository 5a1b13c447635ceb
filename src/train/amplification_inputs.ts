/**
 * What a step of stage I takes: images with synthetic anomalies, labels at feature size, sampled positions.
 */

import type { RandomStream } from '../base/random.ts';
import type { RunInputs } from '../engine/runtime/program.ts';
import type { RowLimits } from '../model/amplification.ts';
import { gridSide, type Teacher } from '../model/teacher.ts';
import { poolMask, sampleRows } from './sampling.ts';
import { stepInput } from './schedule.ts';

/**
 * Inputs of a stage-I step.
 *
 * @param images the inputs that hold the images: `images`, or `pixels` with `changed` and `changed_counts`
 * @param masks 0/1 [batch, size, size]
 * @param foregrounds 0/1 [batch, size, size]; undefined for everywhere
 */
export function amplificationInputs(o: {
  readonly teacher: Teacher;
  readonly images: RunInputs;
  readonly masks: Float32Array;
  readonly foregrounds?: Float32Array | undefined;
  readonly batch: number;
  readonly size: number;
  readonly step: number;
  readonly learningRate: number;
  readonly random: RandomStream;
  readonly limits?: RowLimits;
}): RunInputs {
  const inputs: Record<string, Float32Array | Uint32Array> = {};
  for (const [index, level] of o.teacher.levels.entries()) {
    const side = gridSide(level, o.size);
    const mask = poolMask(o.masks, o.batch, o.size, side);
    const foreground = o.foregrounds
      ? poolMask(o.foregrounds, o.batch, o.size, side)
      : new Float32Array(mask.length).fill(1);
    const rows = sampleRows(mask, foreground, o.random, o.limits);
    inputs[`mask${index}`] = mask;
    inputs[`normal${index}`] = rows.normal;
    inputs[`abnormal${index}`] = rows.abnormal;
    inputs[`row_counts${index}`] = rows.counts;
  }
  return { ...o.images, ...stepInput(o.step, o.learningRate), ...inputs };
}
