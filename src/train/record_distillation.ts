/** The programs of a teacher that learns from a bigger one: its step, its check, and what they measure. */

import { imageInput } from '../data/image_input.ts';
import { ParameterSet } from '../engine/graph/parameter_set.ts';
import { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { BatchNormParameters } from '../engine/ops/batch_norm.ts';
import { conv2d } from '../engine/ops/conv2d.ts';
import { relu } from '../engine/ops/elementwise.ts';
import { meanSquareError, weightedSum } from '../engine/ops/reduce.ts';
import { featureDistillationLoss, type LevelDistance, levelDistance } from '../model/losses.ts';
import { Scope } from '../model/scope.ts';
import type { Teacher } from '../model/teacher.ts';
import type { Objective } from './step_programs.ts';

/** Parameter groups: the big teacher, its statistics, and the one that learns. */
export const distillationGroups = {
  source: 'source',
  statistics: 'statistics',
  learner: 'learner',
} as const;

export interface DistillationShape {
  readonly sourceBackbone: Teacher;
  readonly backbone: Teacher;
  readonly imageSize: number;
}

/** Whose statistics: a level counted from 0, or a part of the network as `block0`. */
export type StatisticsOf = number | `block${number}`;

/** Names of the statistics of a level or a part. */
export function statisticsName(of: StatisticsOf, part: 'running_mean' | 'running_var'): string {
  return `statistics.${of}.${part}`;
}

function statisticsOf(tape: Tape, of: StatisticsOf, channels: number): BatchNormParameters {
  const constant = (name: string, value: number) =>
    tape.constant(`${name}.${channels}`, [channels], 'channels', new Float32Array(channels).fill(value));
  const measured = (part: 'running_mean' | 'running_var', value: number) =>
    tape.parameter(statisticsName(of, part), [channels], 'channels', distillationGroups.statistics, {
      kind: 'constant',
      value,
    });
  return {
    weight: constant('ones', 1),
    bias: constant('zeros', 0),
    running_mean: measured('running_mean', 0),
    running_var: measured('running_var', 1),
  };
}

/** A teacher's levels, and what each of its parts gives. */
function recordParts(
  backbone: Teacher,
  scope: Scope,
  images: Tensor,
  given: (part: number, output: Tensor) => Tensor = (_, output) => output,
): { readonly levels: Tensor[]; readonly parts: Tensor[] } {
  const parts: Tensor[] = [];
  const levels = backbone.features(scope, images, (output) => {
    parts.push(output);
    return given(parts.length - 1, output);
  });
  return { levels, parts };
}

/**
 * Records the big teacher alone: its levels, and its parts.
 *
 * @returns what has statistics
 */
export function recordSource(
  parameters: ParameterSet,
  { sourceBackbone, imageSize }: DistillationShape,
  batch: number,
): { readonly tape: Tape; readonly measured: ReadonlyMap<StatisticsOf, Tensor> } {
  const tape = new Tape(parameters);
  const scope = new Scope(tape, 'source.', distillationGroups.source, false);
  const { levels, parts } = recordParts(sourceBackbone, scope, imageInput(tape, batch, imageSize));
  return {
    tape,
    measured: new Map<StatisticsOf, Tensor>([
      ...levels.map((level, i) => [i, level] as const),
      ...parts.map((output, i) => [`block${i}`, output] as const),
    ]),
  };
}

/** Whether a network's parts have the grids of another's, so that each can learn from its counterpart. */
export function areAlike(shape: DistillationShape): boolean {
  const gridsOf = (backbone: Teacher) => {
    const tape = new Tape(new ParameterSet());
    const scope = new Scope(tape, '', distillationGroups.learner, false);
    return recordParts(backbone, scope, imageInput(tape, 1, shape.imageSize)).parts.map((x) =>
      x.shape.slice(1, 3),
    );
  };
  const [one, other] = [gridsOf(shape.sourceBackbone), gridsOf(shape.backbone)];
  return one.length > 0 && JSON.stringify(one) === JSON.stringify(other);
}

/**
 * Records the learner alone, which notes the batch's statistics in its running ones.
 *
 * @returns its coarsest level, for a run has to compute something
 */
export function recordBatchStatistics(
  parameters: ParameterSet,
  { backbone, imageSize }: DistillationShape,
  batch: number,
): { readonly tape: Tape; readonly level: Tensor } {
  const tape = new Tape(parameters);
  const scope = new Scope(tape, 'learner.', distillationGroups.learner, true, 1);
  return { tape, level: backbone.features(scope, imageInput(tape, batch, imageSize))[2] as Tensor };
}

/** A step of a distillation: what is computed, what learns, and what is told. */
export interface RecordedDistillation {
  readonly tape: Tape;
  /** The distance from the big teacher. */
  readonly loss: Tensor;
  readonly levels: readonly LevelDistance[];
  /** No parameter is in two of them. */
  readonly objectives: readonly Objective[];
}

/**
 * Records the features of both teachers, their distance per level, and the loss.
 *
 * @param training with the statistics of the batch, as it learns; otherwise as it is used
 */
export function recordTeacherDistillation(
  parameters: ParameterSet,
  shape: DistillationShape,
  batch: number,
  training = true,
): RecordedDistillation {
  const tape = new Tape(parameters);
  const images = imageInput(tape, batch, shape.imageSize);
  const targets = shape.sourceBackbone.features(
    new Scope(tape, 'source.', distillationGroups.source, false),
    images,
  );
  const learner = new Scope(tape, 'learner.', distillationGroups.learner, training);
  const levels = shape.backbone.features(learner, images).map((feature, level) => {
    const target = targets[level] as Tensor;
    const channels = target.shape[3] as number;
    return levelDistance(tape, {
      target,
      learned: decoded(tape, level, feature, channels),
      statistics: statisticsOf(tape, level, channels),
    });
  });
  const loss = featureDistillationLoss(tape, levels);
  return { tape, loss, levels, objectives: [{ loss, teaches: isNoEncoder }] };
}

/**
 * Records the learner block by block: each of its parts takes what the big teacher's part before it gives,
 * and learns what its counterpart makes of that. So every part has a small task of its own, which does not
 * wait for the parts before it.
 *
 * Where the widths differ, a part takes the big teacher's channels through an encoder. The encoder learns to
 * give what the part before would give: its loss moves no part, and no part's loss moves it. So the parts fit
 * each other when they are put together.
 *
 * @throws Error where the two networks are not alike
 */
export function recordBlockDistillation(
  parameters: ParameterSet,
  shape: DistillationShape,
  batch: number,
): RecordedDistillation {
  if (!areAlike(shape))
    throw new Error(
      `distill-teacher: ${shape.backbone.name} cannot learn block by block from ` +
        `${shape.sourceBackbone.name}: their blocks are not alike`,
    );
  const tape = new Tape(parameters);
  const images = imageInput(tape, batch, shape.imageSize);
  const source = recordParts(
    shape.sourceBackbone,
    new Scope(tape, 'source.', distillationGroups.source, false),
    images,
  );
  const last = source.parts.length - 1;
  const mismatches: Tensor[] = [];
  const learner = recordParts(
    shape.backbone,
    new Scope(tape, 'learner.', distillationGroups.learner, true),
    images,
    (part, output) => {
      const target = source.parts[part] as Tensor;
      if (part === last || output.shape[3] === target.shape[3]) return target;
      const code = encoded(tape, part, target, output.shape[3] as number);
      mismatches.push(meanSquareError(tape, code, output));
      return code;
    },
  );
  const distances = learner.parts.map((output, part) => {
    const target = source.parts[part] as Tensor;
    const level = source.levels.indexOf(target);
    const of: StatisticsOf = level < 0 ? `block${part}` : level;
    const channels = target.shape[3] as number;
    return levelDistance(tape, {
      target,
      learned: decoded(tape, of, output, channels),
      statistics: statisticsOf(tape, `block${part}`, channels),
    });
  });
  const levels = source.levels.map((level) => distances[source.parts.indexOf(level)] as LevelDistance);
  const loss = featureDistillationLoss(tape, distances);
  const objectives: Objective[] = [{ loss, teaches: isNoEncoder }];
  if (mismatches.length)
    objectives.push({
      loss: weightedSum(
        tape,
        mismatches,
        mismatches.map(() => 1),
      ),
      teaches: isEncoder,
    });
  return { tape, loss, levels, objectives };
}

/** Whether a parameter of the learner's group is no part of the network, but of what was built around it. */
export function isScaffold(name: string): boolean {
  return /^(projection|encoder)\./.test(name);
}

function isEncoder(name: string): boolean {
  return name.startsWith('encoder.');
}

function isNoEncoder(name: string): boolean {
  return !isEncoder(name);
}

/** A learned 1x1 convolution between the widths of the two networks, which is thrown away afterwards. */
function pointwise(tape: Tape, name: string, x: Tensor, channels: number, scale: number): Tensor {
  const width = x.shape[3] as number;
  const { learner } = distillationGroups;
  const initial = { kind: 'normal', deviation: scale * Math.sqrt(1 / width) } as const;
  return conv2d(
    tape,
    x,
    tape.parameter(`${name}.weight`, [1, 1, width, channels], 'filter', learner, initial),
    tape.parameter(`${name}.bias`, [channels], 'channels', learner, { kind: 'constant', value: 0 }),
  );
}

/**
 * The learner's features in the big teacher's width. A projection begins small: a new network's features are
 * larger than a trained one's, and far errors would only teach their scale.
 */
function decoded(tape: Tape, of: StatisticsOf, x: Tensor, channels: number): Tensor {
  return x.shape[3] === channels ? x : pointwise(tape, `projection.${of}`, x, channels, 0.1);
}

/** The big teacher's features in the learner's width, not below 0, as the learner's are. */
function encoded(tape: Tape, part: number, x: Tensor, channels: number): Tensor {
  return relu(tape, pointwise(tape, `encoder.block${part}`, x, channels, 1));
}
