/**
 * The registry of methods: AAND and the paper's ablation, by the name that options and model files give as
 * the mode. Each is put together from the amplification of stage I and the distillation of stage II.
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
  type RecordTargets,
  recordDetection,
} from './method.ts';
import type { Teacher } from './teacher.ts';

/** The teacher's features as they are. */
const plainTargets: RecordTargets = (tape, images, teacher) => {
  const features = teacherFeatures(tape, images, teacher);
  return { features, amplified: features, gates: [] };
};

/** RD4AD, the baseline (method, 3.17). */
const rd = {
  name: 'rd',
  stages: [distillation({ targets: plainTargets, hard: false, schedule: 'constant' })],
  targets: plainTargets,
} as const satisfies Method;

/** The baseline with the amplification of stage I. */
const raa = {
  name: 'raa',
  stages: [amplification, distillation({ targets: amplifiedTargets, hard: false, schedule: 'steps' })],
  targets: amplifiedTargets,
} as const satisfies Method;

/** The baseline with the loss of the hardest positions. */
const hkd = {
  name: 'hkd',
  stages: [distillation({ targets: plainTargets, hard: true, schedule: 'steps' })],
  targets: plainTargets,
} as const satisfies Method;

/** The method of the paper: both. */
const aand = {
  name: 'aand',
  stages: [amplification, distillation({ targets: amplifiedTargets, hard: true, schedule: 'steps' })],
  targets: amplifiedTargets,
} as const satisfies Method;

export const methods = { rd, raa, hkd, aand } as const;

/** The name of a method. */
export type Mode = keyof typeof methods;

/** Names of all methods. */
export const modes = Object.keys(methods) as Mode[];

/** The method of that name. */
export function methodNamed(mode: Mode): Method {
  return methods[mode];
}

/** Inference of a mode: images [N,S,S,3] to map [N,S,S] and score [N], as {@link recordDetection}. */
export function detect(tape: Tape, images: Tensor, teacher: Teacher, mode: Mode): Detection {
  return recordDetection(tape, images, teacher, methodNamed(mode));
}

/** The parameters of a detector, as {@link methodParameters}. */
export function detectorParameters(
  teacher: Teacher,
  mode: Mode,
  options: { readonly half?: boolean } = {},
): ParameterSet {
  return methodParameters(teacher, methodNamed(mode), options);
}
