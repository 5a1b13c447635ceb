/**
 * Stage I (method, 3.9): the amplification modules learn on synthetic anomalies, the teacher stays frozen.
 */

import type { RandomStream } from '../base/random.ts';
import type { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { adamStep } from '../engine/ops/adam.ts';
import { amplificationLoss } from '../engine/ops/amplification_loss.ts';
import { focalLoss } from '../engine/ops/focal_loss.ts';
import { gatedResidual } from '../engine/ops/gate.ts';
import { weightedSum } from '../engine/ops/reduce.ts';
import { gatherRows } from '../engine/ops/rows.ts';
import type { RunInputs, RunOutputs } from '../engine/runtime/program.ts';
import { type Backbone, teacher } from '../model/backbone.ts';
import { amplifierScope, teacherScope } from '../model/detector.ts';
import { gate, residual } from '../model/raa.ts';
import type { Losses } from './checkpoint.ts';
import { defaultRowLimits, poolMask, type RowLimits, rowCapacity, sampleRows } from './sampling.ts';
import { adamDefaults } from './schedule.ts';
import type { RecordedLoss } from './step_programs.ts';

const levels = [0, 1, 2] as const;
/** Weight of the amplification loss beside the focal loss. */
export const amplificationWeight = 0.1;

/** Side of the feature grid of a level. */
export function gridSide(size: number, level: number): number {
  return size / (4 << level);
}

/** Forward pass and loss of stage I for images [batch, size, size, 3]. */
export function recordAmplification(
  tape: Tape,
  backbone: Backbone,
  size: number,
  batch: number,
  limits = defaultRowLimits,
): RecordedLoss {
  const images = tape.input('images', [batch, size, size, 3], 'channels');
  const features = teacher(teacherScope(tape), images, backbone);
  const focal: Tensor[] = [];
  const amplification: Tensor[] = [];
  const outputs: Record<string, Tensor> = {};
  for (const level of levels) {
    const scope = amplifierScope(tape, level);
    const feature = features[level] as Tensor;
    const side = gridSide(size, level);
    const mask = tape.input(`mask${level}`, [batch, side, side], 'dense');
    const { loss, counts } = focalLoss(tape, gate(scope, feature), mask);
    focal.push(loss);
    outputs[`gate_counts${level}`] = counts;

    // With the hard mask as the gate, A differs from F at masked positions only, and the loss reads only
    // those: the generator runs on the sampled rows alone (method, 4.2).
    const capacity = rowCapacity(batch * side * side, limits);
    const indices = (name: string, rows: number) => tape.input(`${name}${level}`, [rows], 'dense');
    const normal = gatherRows(tape, feature, indices('normal', capacity.normal));
    const abnormal = gatherRows(tape, feature, indices('abnormal', capacity.abnormal));
    const open = tape.constant(
      `open${level}`,
      [1, capacity.abnormal, 1],
      'dense',
      new Float32Array(capacity.abnormal).fill(1),
    );
    const amplified = gatedResidual(tape, abnormal, residual(scope, abnormal), open);
    const counted = tape.input(`row_counts${level}`, [2], 'dense');
    amplification.push(amplificationLoss(tape, { normal, abnormal, amplified, counts: counted }));
  }
  const sum = (terms: readonly Tensor[]) =>
    weightedSum(
      tape,
      terms,
      terms.map(() => 1),
    );
  outputs.focal = sum(focal);
  outputs.amplification = sum(amplification);
  return {
    loss: weightedSum(tape, [outputs.focal, outputs.amplification], [1, amplificationWeight]),
    outputs,
  };
}

/**
 * Inputs of a stage-I step.
 *
 * @param masks 0/1 [batch, size, size]
 * @param foregrounds 0/1 [batch, size, size]; undefined for everywhere
 */
export function amplificationInputs(o: {
  readonly images: Float32Array;
  readonly masks: Float32Array;
  readonly foregrounds?: Float32Array | undefined;
  readonly batch: number;
  readonly size: number;
  readonly step: number;
  readonly learningRate: number;
  readonly random: RandomStream;
  readonly limits?: RowLimits;
}): RunInputs {
  const inputs: Record<string, Float32Array | Uint32Array> = {
    images: o.images,
    step: adamStep(o.step, { ...adamDefaults, learningRate: o.learningRate }),
  };
  for (const level of levels) {
    const side = gridSide(o.size, level);
    const mask = poolMask(o.masks, o.batch, o.size, side);
    const foreground = o.foregrounds
      ? poolMask(o.foregrounds, o.batch, o.size, side)
      : new Float32Array(mask.length).fill(1);
    const rows = sampleRows(mask, foreground, o.random, o.limits);
    inputs[`mask${level}`] = mask;
    inputs[`normal${level}`] = rows.normal;
    inputs[`abnormal${level}`] = rows.abnormal;
    inputs[`row_counts${level}`] = rows.counts;
  }
  return inputs;
}

/** Losses of a step with the gate's precision and recall, averaged over the levels (method, 3.9). */
export function amplificationReport(result: RunOutputs): Losses {
  let precision = 0;
  let recall = 0;
  for (const level of levels) {
    const [hits, predicted, positive] = result[`gate_counts${level}`] as unknown as [number, number, number];
    precision += hits / (predicted + 1e-5) / levels.length;
    recall += hits / (positive + 1e-5) / levels.length;
  }
  return {
    focal: (result.focal as Float32Array)[0] as number,
    amplification: (result.amplification as Float32Array)[0] as number,
    precision,
    recall,
  };
}
