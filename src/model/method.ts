/**
 * What a method is: how a detector on a teacher is trained and how it judges an image. The methods of this
 * package are in methods.ts; training, forecasts, tuning and the model file go by this description alone.
 */

import { ParameterSet } from '../engine/graph/parameter_set.ts';
import { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { scoreMap } from '../engine/ops/score_map.ts';
import type { RunOutputs } from '../engine/runtime/program.ts';
import { reconstruct } from './student.ts';
import type { Teacher } from './teacher.ts';

/** Means of the losses over an epoch, or values of a step, by name. */
export type Losses = Readonly<Record<string, number>>;

export interface RecordedLoss {
  /** What the step minimises, [1]. */
  readonly loss: Tensor;
  /** What the step reports. */
  readonly outputs: Readonly<Record<string, Tensor>>;
}

/** What the student rebuilds, per level, finest first. */
export interface Targets {
  /** The teacher's features. */
  readonly features: readonly Tensor[];
  /** The targets: the features, amplified where the method does so. */
  readonly amplified: readonly Tensor[];
  /** Gates [N,n,n] in (0, 1); none without amplification. */
  readonly gates: readonly Tensor[];
}

export type RecordTargets = (tape: Tape, images: Tensor, teacher: Teacher) => Targets;

/** What a stage's step is recorded for. */
export interface StageShape {
  readonly teacher: Teacher;
  /** Side of the images in pixels. */
  readonly size: number;
  readonly batch: number;
  /** Good images only: the targets are inputs `target0..2` instead of being computed from `images`. */
  readonly cached?: boolean;
  /** Records the images [batch, size, size, 3]; absent: an input `images` of normalised values. */
  readonly images?: (tape: Tape) => Tensor;
}

/** The images of a stage's step, normalised [batch, size, size, 3]. */
export function stageImages(tape: Tape, { images, batch, size }: StageShape): Tensor {
  return images?.(tape) ?? tape.input('images', [batch, size, size, 3], 'channels');
}

/** One stage of a training. */
export interface Stage {
  /** Its place in epochs, checkpoints and histories: stage I or stage II. */
  readonly number: 1 | 2;
  /** The parameter group that it trains; all others are frozen. */
  readonly group: string;
  /** What its batches are: good images with synthetic anomalies and their masks, or good images alone. */
  readonly samples: 'synthetic anomalies' | 'good images';
  /** The learning rate: falling at 80 and 90 % of the epochs, or constant. */
  readonly schedule: 'steps' | 'constant';
  /** Records forward pass and loss. */
  record(tape: Tape, shape: StageShape): RecordedLoss;
  /** Losses of a step from what its outputs hold. */
  report(outputs: RunOutputs): Losses;
}

/** As messages and checkpoints call a stage. */
export function stageName({ number }: Pick<Stage, 'number'>): string {
  return `stage ${'I'.repeat(number)}`;
}

/** A way to train a detector on a teacher. */
export interface Method {
  /** As options and model files call it. */
  readonly name: string;
  /** In the order in which they run; the last one trains the student. */
  readonly stages: readonly [...Stage[], Stage];
  readonly targets: RecordTargets;
}

/** What inference gives; everything but map and score is what an explanation shows. */
export interface Detection extends Targets {
  readonly embedding: Tensor;
  /** The rebuilt targets, finest first. */
  readonly students: readonly Tensor[];
  /** Anomaly map [N,S,S]. */
  readonly map: Tensor;
  /** Largest value of the map, [N]. */
  readonly score: Tensor;
}

/** Whether a method learns from synthetic anomalies, and so needs textures and foregrounds. */
export function usesAnomalies({ stages }: Method): boolean {
  return stages.some(({ samples }) => samples === 'synthetic anomalies');
}

/**
 * Records inference. A detector is often opened for a few images: its programs are compact.
 *
 * @param images [N,S,S,3], normalised
 */
export function recordDetection(tape: Tape, images: Tensor, teacher: Teacher, method: Method): Detection {
  tape.compact = true;
  const recorded = method.targets(tape, images, teacher);
  const { embedding, students } = reconstruct(tape, recorded.amplified, teacher, false);
  const size = images.shape[1] as number;
  return { ...recorded, embedding, students, ...scoreMap(tape, recorded.amplified, students, size) };
}

/**
 * The parameters of a detector, in the order in which the model uses them.
 *
 * @param options half: 16-bit weights, for inference only
 */
export function methodParameters(
  teacher: Teacher,
  method: Method,
  options: { readonly half?: boolean } = {},
): ParameterSet {
  const tape = new Tape(new ParameterSet(options));
  recordDetection(tape, tape.input('images', [1, 64, 64, 3], 'channels'), teacher, method);
  return tape.parameters;
}
