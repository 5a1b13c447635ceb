/** Parameter groups of a detector: what is trained together, and how its parameters are called. */

import type { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { Scope } from './scope.ts';
import type { Teacher } from './teacher.ts';

export const groups = {
  teacher: 'teacher',
  amplification: 'amplification',
  student: 'student',
  memory: 'memory',
} as const;

/** Names of the amplification modules by level. */
export const amplifierNames = ['feat_recons_a', 'feat_recons_b', 'feat_recons_c'] as const;

export function teacherScope(tape: Tape): Scope {
  return new Scope(tape, 'teacher.', groups.teacher, false);
}

export function amplifierScope(tape: Tape, level: number): Scope {
  return new Scope(tape, `teacher.${amplifierNames[level]}.`, groups.amplification, false);
}

/** Bottleneck or decoder; `training`: with the statistics of the batch. */
export function studentScope(tape: Tape, part: 'bottleneck' | 'student', training: boolean): Scope {
  return new Scope(tape, `${part}.`, groups.student, training);
}

/** The frozen teacher's features of images [N,S,S,3], finest first. */
export function teacherFeatures(tape: Tape, images: Tensor, teacher: Teacher): Tensor[] {
  return teacher.features(teacherScope(tape), images);
}
