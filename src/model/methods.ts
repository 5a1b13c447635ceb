/**
 * The registry of methods by the name that options and model files give as the mode: AAND and the paper's
 * ablation, each put together from the amplification of stage I and the distillation of stage II, and
 * PatchCore for comparison.
 */

import type { ParameterSet } from '../engine/graph/parameter_set.ts';
import type { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { amplification, amplifiedTargets } from './amplification.ts';
import { distillation } from './distillation.ts';
import { teacherFeatures } from './groups.ts';
import {
  type Detection,
  type Method,
  methodParameters,
  type ParameterOptions,
  type RecordTargets,
  recordDetection,
  type StudentDetection,
  type StudentMethod,
} from './method.ts';
import { patchcore } from './patchcore.ts';
import type { Teacher } from './teacher.ts';

/** The teacher's features as they are. */
const plainTargets: RecordTargets = (tape, images, teacher) => {
  const features = teacherFeatures(tape, images, teacher);
  return { features, amplified: features, gates: [] };
};

/** RD4AD, the baseline (method, 3.17). */
const rd = {
  learns: 'student',
  name: 'rd',
  stages: [distillation({ targets: plainTargets, hard: false, schedule: 'constant' })],
  targets: plainTargets,
} as const satisfies StudentMethod;

/** The baseline with the amplification of stage I. */
const raa = {
  learns: 'student',
  name: 'raa',
  stages: [amplification, distillation({ targets: amplifiedTargets, hard: false, schedule: 'steps' })],
  targets: amplifiedTargets,
} as const satisfies StudentMethod;

/** The baseline with the loss of the hardest positions. */
const hkd = {
  learns: 'student',
  name: 'hkd',
  stages: [distillation({ targets: plainTargets, hard: true, schedule: 'steps' })],
  targets: plainTargets,
} as const satisfies StudentMethod;

/** The method of the paper: both. */
const aand = {
  learns: 'student',
  name: 'aand',
  stages: [amplification, distillation({ targets: amplifiedTargets, hard: true, schedule: 'steps' })],
  targets: amplifiedTargets,
} as const satisfies StudentMethod;

/** Methods that train a student. */
const studentMethods = { rd, raa, hkd, aand } as const;

export const methods = { ...studentMethods, patchcore } as const;

/** The name of a method. */
export type Mode = keyof typeof methods;
/** The name of a method that trains a student. */
export type StudentMode = keyof typeof studentMethods;

/** Names of all methods. */
export const modes = Object.keys(methods) as Mode[];
/** Names of the methods that train a student. */
export const studentModes = Object.keys(studentMethods) as StudentMode[];

/** The method of that name. */
export function methodNamed(mode: StudentMode): StudentMethod;
export function methodNamed(mode: Mode): Method;
export function methodNamed(mode: Mode): Method {
  return methods[mode];
}

/** Inference of a mode: images [N,S,S,3] to map [N,S,S] and score [N], as {@link recordDetection}. */
export function detect(tape: Tape, images: Tensor, teacher: Teacher, mode: StudentMode): StudentDetection;
export function detect(tape: Tape, images: Tensor, teacher: Teacher, mode: Mode): Detection;
export function detect(tape: Tape, images: Tensor, teacher: Teacher, mode: Mode): Detection {
  return recordDetection(tape, images, teacher, methodNamed(mode));
}

/** The parameters of a detector, as {@link methodParameters}. */
export function detectorParameters(teacher: Teacher, mode: Mode, options?: ParameterOptions): ParameterSet {
  return methodParameters(teacher, methodNamed(mode), options);
}
