/**
 * Stage I (method, 3.9): the amplification modules learn on synthetic anomalies, the teacher stays frozen.
 */

import type { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { amplificationLoss } from '../engine/ops/amplification_loss.ts';
import { focalLoss } from '../engine/ops/focal_loss.ts';
import { gatedResidual } from '../engine/ops/gate.ts';
import { weightedSum } from '../engine/ops/reduce.ts';
import { gatherRows } from '../engine/ops/rows.ts';
import type { RunOutputs } from '../engine/runtime/program.ts';
import { amplifierScope, groups, teacherFeatures } from './groups.ts';
import { type Losses, type RecordedLoss, type RecordTargets, type Stage, stageImages } from './method.ts';
import { amplify, gate, residual } from './raa.ts';
import { gridSide, type Teacher } from './teacher.ts';

/** Weight of the amplification loss beside the focal loss. */
export const amplificationWeight = 0.1;

/** Largest numbers of sampled positions per level and batch. */
export interface RowLimits {
  readonly normal: number;
  readonly abnormal: number;
}

/** The method's limits (3.9). */
export const defaultRowLimits: RowLimits = { normal: 5000, abnormal: 1000 };

/** How many rows of each kind a batch can contribute; the normal capacity is a multiple of 4. */
export function rowCapacity(positions: number, limits = defaultRowLimits): RowLimits {
  return {
    normal: Math.ceil(Math.min(positions, limits.normal) / 4) * 4,
    abnormal: Math.min(positions, limits.abnormal),
  };
}

/** The teacher's features and their amplification, level by level. */
export const amplifiedTargets: RecordTargets = (tape, images, teacher) => {
  const features = teacherFeatures(tape, images, teacher);
  const levels = features.map((feature, level) => amplify(amplifierScope(tape, level), feature));
  return {
    features,
    amplified: levels.map(({ amplified }) => amplified),
    gates: levels.map(({ gate }) => gate),
  };
};

/**
 * Forward pass and loss of stage I.
 *
 * @param images normalised [batch, size, size, 3]; by default an input of that name
 */
export function recordAmplification(
  tape: Tape,
  teacher: Teacher,
  size: number,
  batch: number,
  limits = defaultRowLimits,
  images = stageImages(tape, { teacher, size, batch }),
): RecordedLoss {
  const features = teacherFeatures(tape, images, teacher);
  const grids = teacher.levels.map((level) => ({ side: gridSide(level, size) }));
  const focal: Tensor[] = [];
  const amplification: Tensor[] = [];
  const outputs: Record<string, Tensor> = {};
  for (const [level, { side }] of grids.entries()) {
    const scope = amplifierScope(tape, level);
    const feature = features[level] as Tensor;
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

/** Losses of a step with the gate's precision and recall, averaged over the levels (method, 3.9). */
export function amplificationReport(result: RunOutputs): Losses {
  const counts = Object.keys(result).filter((name) => name.startsWith('gate_counts'));
  let precision = 0;
  let recall = 0;
  for (const name of counts) {
    const [hits, predicted, positive] = result[name] as unknown as [number, number, number];
    precision += hits / (predicted + 1e-5) / counts.length;
    recall += hits / (positive + 1e-5) / counts.length;
  }
  return {
    focal: (result.focal as Float32Array)[0] as number,
    amplification: (result.amplification as Float32Array)[0] as number,
    precision,
    recall,
  };
}

export const amplification = {
  number: 1,
  group: groups.amplification,
  samples: 'synthetic anomalies',
  schedule: 'steps',
  record: (tape, shape) => {
    const { teacher, size, batch } = shape;
    return recordAmplification(tape, teacher, size, batch, defaultRowLimits, stageImages(tape, shape));
  },
  report: amplificationReport,
} as const satisfies Stage;
