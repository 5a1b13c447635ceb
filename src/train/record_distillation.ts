/** The programs of a teacher that learns from a bigger one: its step, its check, and what they measure. */

import { imageInput } from '../data/image_input.ts';
import { ParameterSet } from '../engine/graph/parameter_set.ts';
import { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { BatchNormParameters } from '../engine/ops/batch_norm.ts';
import { conv2d } from '../engine/ops/conv2d.ts';
import { featureDistillationLoss, type LevelDistance, levelDistance } from '../model/losses.ts';
import { Scope } from '../model/scope.ts';
import type { Teacher } from '../model/teacher.ts';

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

/**
 * Whether each part of a network can learn from its counterpart in another: it has the same grid, and at most
 * as many channels.
 */
export function areAlike(shape: DistillationShape): boolean {
  const partsOf = (backbone: Teacher) => {
    const tape = new Tape(new ParameterSet());
    const scope = new Scope(tape, '', distillationGroups.learner, false);
    return recordParts(backbone, scope, imageInput(tape, 1, shape.imageSize)).parts;
  };
  const [big, small] = [partsOf(shape.sourceBackbone), partsOf(shape.backbone)];
  const channels = ({ shape }: Tensor) => shape[3] as number;
  return (
    big.length > 0 &&
    big.length === small.length &&
    big.every((one, i) => {
      const other = small[i] as Tensor;
      return one.shape[1] === other.shape[1] && channels(one) >= channels(other);
    })
  );
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

/** A step of a distillation: what is computed, and what is told. */
export interface RecordedDistillation {
  readonly tape: Tape;
  /** The distance from the big teacher. */
  readonly loss: Tensor;
  readonly levels: readonly LevelDistance[];
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
  const selects = areAlike(shape);
  const levels = shape.backbone.features(learner, images).map((feature, level) => {
    const given = targets[level] as Tensor;
    const target = selects ? selected(tape, given, feature.shape[3] as number) : given;
    const channels = target.shape[3] as number;
    return levelDistance(tape, {
      target,
      learned: projected(tape, level, feature, channels),
      statistics: statisticsOf(tape, level, channels),
    });
  });
  return { tape, loss: featureDistillationLoss(tape, levels), levels };
}

/**
 * Records the learner block by block: each of its parts takes what the big teacher's part before it gives,
 * and learns what its counterpart makes of that. So every part has a small task of its own, which does not
 * wait for the parts before it. Of a wider teacher it takes and learns the selected channels.
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
  const targets: Tensor[] = [];
  const learner = recordParts(
    shape.backbone,
    new Scope(tape, 'learner.', distillationGroups.learner, true),
    images,
    (part, output) => {
      const target = selected(tape, source.parts[part] as Tensor, output.shape[3] as number);
      targets.push(target);
      return target;
    },
  );
  const distances = learner.parts.map((learned, part) => {
    const target = targets[part] as Tensor;
    const statistics = statisticsOf(tape, `block${part}`, target.shape[3] as number);
    return levelDistance(tape, { target, learned, statistics });
  });
  const levels = source.levels.map((level) => distances[source.parts.indexOf(level)] as LevelDistance);
  return { tape, loss: featureDistillationLoss(tape, distances), levels };
}

/** The name of the matrix that selects channels of a width of the big teacher. */
export function selectionName(width: number): string {
  return `selection.${width}.weight`;
}

/**
 * Some channels of the big teacher as they are: a narrow learner then has a part of the big one's features,
 * in which distances are nearly those of the whole. Through a learned projection it would have features of
 * its own, whose distances nothing holds to the big one's.
 *
 * @param channels so many; all of them are the tensor itself
 */
function selected(tape: Tape, x: Tensor, channels: number): Tensor {
  const width = x.shape[3] as number;
  if (width === channels) return x;
  const initial = { kind: 'constant', value: 0 } as const;
  const { statistics } = distillationGroups;
  const shape = [1, 1, width, channels];
  return conv2d(tape, x, tape.parameter(selectionName(width), shape, 'filter', statistics, initial));
}

/** Whether a parameter of the learner's group is no part of the network, but of what was built around it. */
export function isScaffold(name: string): boolean {
  return name.startsWith('projection.');
}

/**
 * Networks that are not alike meet through a learned 1x1 projection that is thrown away afterwards. It begins
 * small: a new network's features are larger than a trained one's, and far errors would only teach their
 * scale.
 */
function projected(tape: Tape, level: number, x: Tensor, channels: number): Tensor {
  const width = x.shape[3] as number;
  if (width === channels) return x;
  const { learner } = distillationGroups;
  const initial = { kind: 'normal', deviation: 0.1 * Math.sqrt(1 / width) } as const;
  return conv2d(
    tape,
    x,
    tape.parameter(`projection.${level}.weight`, [1, 1, width, channels], 'filter', learner, initial),
    tape.parameter(`projection.${level}.bias`, [channels], 'channels', learner, {
      kind: 'constant',
      value: 0,
    }),
  );
}
