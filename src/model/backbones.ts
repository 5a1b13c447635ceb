/**
 * The registry of backbones: the architectures that a teacher can have, by the name that options and model
 * files give. Another family is a file beside resnet.ts and a line here; a program that uses this package
 * registers its own with {@link registerBackbone}.
 */

import { InvalidArgumentError } from '../base/errors.ts';
import { resnet } from './resnet.ts';
import { checkTeacher, type Teacher } from './teacher.ts';

const basic = { block: 'basic', expansion: 1, width: 1 } as const;
const bottleneck = { block: 'bottleneck', expansion: 4 } as const;

/** The backbones of this package. */
export const backbones = {
  resnet18: resnet({ ...basic, name: 'resnet18', blocks: [2, 2, 2], bottleneckBlocks: 2, planes: 64 }),
  resnet34: resnet({ ...basic, name: 'resnet34', blocks: [3, 4, 6], bottleneckBlocks: 3, planes: 64 }),
  resnet50: resnet({
    ...bottleneck,
    width: 1,
    name: 'resnet50',
    blocks: [3, 4, 6],
    bottleneckBlocks: 3,
    planes: 64,
  }),
  wide_resnet50_2: resnet({
    ...bottleneck,
    width: 2,
    name: 'wide_resnet50_2',
    blocks: [3, 4, 6],
    bottleneckBlocks: 3,
    planes: 64,
  }),
  /**
   * Half of resnet18's channels (32, 64, 128); nobody publishes weights for it: distill-teacher makes them.
   */
  resnet18_half: resnet({
    ...basic,
    name: 'resnet18_half',
    blocks: [2, 2, 2],
    bottleneckBlocks: 2,
    planes: 32,
  }),
} as const;

const registered = new Map<string, Teacher>(Object.entries(backbones));

/** Names of all backbones, in the order in which they were registered. */
export function backboneNames(): string[] {
  return [...registered.keys()];
}

/** All backbones, in the order in which they were registered. */
export function allBackbones(): Teacher[] {
  return [...registered.values()];
}

/**
 * Makes an architecture known by its name: trainings, model files, imports and forecasts then take it.
 *
 * @throws Error on a name that is taken, and on a pyramid that no detector can be built on
 */
export function registerBackbone(teacher: Teacher): void {
  checkTeacher(teacher);
  if (registered.has(teacher.name))
    throw new InvalidArgumentError(`there is a backbone '${teacher.name}' already`);
  registered.set(teacher.name, teacher);
}

/**
 * The backbone of that name.
 *
 * @throws Error that lists the known ones
 */
export function backboneNamed(name: string): Teacher {
  const teacher = registered.get(name);
  if (!teacher)
    throw new InvalidArgumentError(
      `unknown backbone '${name.slice(0, 100)}'; known are ${backboneNames().join(', ')}`,
    );
  return teacher;
}
