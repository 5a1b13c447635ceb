/**
 * What a method is: what a detector on a teacher learns, and how it judges an image. A method trains a
 * student in stages, or keeps a memory bank. The methods of this package are in methods.ts; training,
 * forecasts, tuning and the model file go by this description alone.
 */

import { UnsupportedError } from '../base/errors.ts';
import { ParameterSet } from '../engine/graph/parameter_set.ts';
import { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { scoreMap } from '../engine/ops/score_map.ts';
import type { RunOutputs } from '../engine/runtime/program.ts';
import { groups } from './groups.ts';
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

/** What inference gives. */
export interface Detection {
  /** Anomaly map [N,S,S]. */
  readonly map: Tensor;
  /** The image's score, [N]. */
  readonly score: Tensor;
}

/** What inference with a student gives; everything but map and score is what an explanation shows. */
export interface StudentDetection extends Detection, Targets {
  readonly embedding: Tensor;
  /** The rebuilt targets, finest first. */
  readonly students: readonly Tensor[];
}

/** A method that trains a student in stages; its score is the largest value of the map. */
export interface StudentMethod {
  readonly learns: 'student';
  /** As options and model files call it. */
  readonly name: string;
  /** In the order in which they run; the last one trains the student. */
  readonly stages: readonly [...Stage[], Stage];
  readonly targets: RecordTargets;
}

/** A method that trains nothing: it keeps rows of the teacher's features of good images. */
export interface MemoryMethod {
  readonly learns: 'memory';
  readonly name: string;
  /** Records the features of which rows are kept and compared, [N,n,n,C]. */
  features(tape: Tape, images: Tensor, teacher: Teacher): Tensor;
  /** Records map and score of features by a bank [M,C], for images of `size` pixels. */
  compare(tape: Tape, features: Tensor, bank: Tensor, size: number): Detection;
}

/** A way to get a detector from a teacher and good images. */
export type Method = StudentMethod | MemoryMethod;

/** The kept rows, as model files call them. */
export const bankName = 'memory.bank';

/** Whether a method learns from synthetic anomalies, and so needs textures and foregrounds. */
export function usesAnomalies(method: Method): boolean {
  return (
    method.learns === 'student' && method.stages.some(({ samples }) => samples === 'synthetic anomalies')
  );
}

/** The method with a student, or an error that says what cannot be done without one. */
export function needStudent(method: Method, what: string): StudentMethod {
  if (method.learns === 'student') return method;
  throw new UnsupportedError(`${what}: '${method.name}' trains no student, it keeps features of good images`);
}

/**
 * Records inference. A detector is often opened for a few images: its programs are compact.
 *
 * @param images [N,S,S,3], normalised
 * @param rows of the bank of a method that has one, where the tape's parameters do not define it yet
 */
export function recordDetection(
  tape: Tape,
  images: Tensor,
  teacher: Teacher,
  method: StudentMethod,
): StudentDetection;
export function recordDetection(
  tape: Tape,
  images: Tensor,
  teacher: Teacher,
  method: Method,
  rows?: number,
): Detection;
export function recordDetection(
  tape: Tape,
  images: Tensor,
  teacher: Teacher,
  method: Method,
  rows = 1,
): Detection {
  tape.compact = true;
  const size = images.shape[1] as number;
  if (method.learns === 'memory') {
    const features = method.features(tape, images, teacher);
    const known = tape.parameters.has(bankName) ? tape.parameters.spec(bankName).shape : undefined;
    const shape = known ?? [rows, features.shape[3] as number];
    const bank = tape.parameter(bankName, shape, 'channels', groups.memory);
    return method.compare(tape, features, bank, size);
  }
  const recorded = method.targets(tape, images, teacher);
  const { embedding, students } = reconstruct(tape, recorded.amplified, teacher, false);
  const detection: StudentDetection = {
    ...recorded,
    embedding,
    students,
    ...scoreMap(tape, recorded.amplified, students, size),
  };
  return detection;
}

/** What the parameters of a detector depend on beside teacher and method. */
export interface ParameterOptions {
  /** 16-bit weights, for inference only. */
  readonly half?: boolean;
  /** Rows of the bank of a method that has one; default 1. */
  readonly rows?: number | undefined;
}

/** The parameters of a detector, in the order in which the model uses them. */
export function methodParameters(
  teacher: Teacher,
  method: Method,
  { rows, ...options }: ParameterOptions = {},
): ParameterSet {
  const tape = new Tape(new ParameterSet(options));
  recordDetection(tape, tape.input('images', [1, 64, 64, 3], 'channels'), teacher, method, rows);
  return tape.parameters;
}
