/**
 * The whole detector as functions over a tape: frozen teacher, amplification, bottleneck, decoder, score map.
 */

import { ParameterSet } from '../engine/graph/parameter_set.ts';
import { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { scoreMap } from '../engine/ops/score_map.ts';
import { type Backbone, teacher } from './backbone.ts';
import { amplify } from './raa.ts';
import { Scope } from './scope.ts';
import { bottleneck, student } from './student.ts';

/**
 * The paper's ablation: `rd` is the RD4AD baseline (method, 3.17), `raa` adds the amplification of stage I to
 * it, `hkd` the hard distillation loss, `aand` both.
 */
export const modes = ['rd', 'raa', 'hkd', 'aand'] as const;
export type Mode = (typeof modes)[number];

/** Whether the student's targets are amplified features. */
export function amplifies(mode: Mode): boolean {
  return mode === 'aand' || mode === 'raa';
}

/** Whether stage II adds the loss of the hardest positions. */
export function distillsHard(mode: Mode): boolean {
  return mode === 'aand' || mode === 'hkd';
}

/** Parameter groups: what is trained together. */
export const groups = { teacher: 'teacher', amplification: 'amplification', student: 'student' } as const;

/** Names of the amplification modules by level. */
export const amplifierNames = ['feat_recons_a', 'feat_recons_b', 'feat_recons_c'] as const;

export function teacherScope(tape: Tape): Scope {
  return new Scope(tape, 'teacher.', groups.teacher, false);
}

export function amplifierScope(tape: Tape, level: number): Scope {
  return new Scope(tape, `teacher.${amplifierNames[level]}.`, groups.amplification, false);
}

const largestImageSize = 8192;

export function checkImageSize(size: number): void {
  if (!Number.isInteger(size) || size < 32 || size % 32)
    throw new Error(`image size ${size} is not a multiple of 32 (the coarsest features are 1/32 of it)`);
  if (size > largestImageSize)
    throw new Error(
      `image size ${size} is larger than ${largestImageSize}; tiles (--tile) see large images in parts`,
    );
}

/** The targets of the student: teacher features, amplified where the mode says so. */
export function targets(tape: Tape, images: Tensor, backbone: Backbone, mode: Mode) {
  const features = teacher(teacherScope(tape), images, backbone);
  if (!amplifies(mode)) return { features, amplified: features, gates: [] as Tensor[] };
  const levels = features.map((feature, level) => amplify(amplifierScope(tape, level), feature));
  return {
    features,
    amplified: levels.map((level) => level.amplified),
    gates: levels.map((level) => level.gate),
  };
}

/** Bottleneck and decoder over the targets. */
export function reconstruct(tape: Tape, amplified: readonly Tensor[], backbone: Backbone, training: boolean) {
  const embedding = bottleneck(new Scope(tape, 'bottleneck.', groups.student, training), amplified, backbone);
  return {
    embedding,
    students: student(new Scope(tape, 'student.', groups.student, training), embedding, backbone),
  };
}

/**
 * Inference: images [N,S,S,3] to map [N,S,S] and score [N]. A detector is often opened for a few images: its
 * programs are compact.
 */
export function detect(tape: Tape, images: Tensor, backbone: Backbone, mode: Mode) {
  tape.compact = true;
  const { features, amplified, gates } = targets(tape, images, backbone, mode);
  const { embedding, students } = reconstruct(tape, amplified, backbone, false);
  const { map, score } = scoreMap(tape, amplified, students, images.shape[1] as number);
  return { features, amplified, gates, embedding, students, map, score };
}

/**
 * The parameters of a detector, in the order in which the model uses them; `half`: 16-bit weights, for
 * inference only.
 */
export function detectorParameters(
  backbone: Backbone,
  mode: Mode,
  options: { half?: boolean } = {},
): ParameterSet {
  const tape = new Tape(new ParameterSet(options));
  detect(tape, tape.input('images', [1, 64, 64, 3], 'channels'), backbone, mode);
  return tape.parameters;
}
