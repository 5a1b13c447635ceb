/**
 * Scalars out of tensors: mean, mean squared error, weighted sum; and the per-channel sum of a bias gradient.
 */
import { rangeOf } from '../../base/lists.ts';
import type { LoweringContext } from '../device/context.ts';
import { type ItemKernel, variantOf, workgroupsFor } from '../device/families.ts';
import { type Dispatch, threads } from '../dispatch.ts';
import { type Node, need, type Tape } from '../graph/tape.ts';
import { channelQuads, elements, positions, quads, type Tensor, type TensorSpec } from '../graph/tensor.ts';
import { scale } from './elementwise.ts';
import type { Total } from './fusion.ts';
import type { Operation } from './operation.ts';
import { sumPartials } from './partials.ts';
import { scratch } from './scratch.ts';

const scalar: TensorSpec = { shape: [1], layout: 'dense' };

const channelSumDefinition: Operation<Record<string, never>> = {
  name: 'channel_sum',
  infer: (inputs) => ({ y: { shape: [need(inputs, 'x').shape.at(-1) as number], layout: 'channels' } }),
  batch: { does: 'sum', operands: ['x'] },
  lower(node, context): Dispatch[] {
    const x = need(node.inputs, 'x');
    const output = need(node.outputs, 'y');
    const { target } = context;
    const { channelSums } = context.profile.kernels;
    const chunk = channelSums.chunk(positions(x), channelQuads(x), target);
    const chunks = Math.ceil(positions(x) / chunk);
    const kernel = channelSums.sum({ chunks, channelQuads: channelQuads(x) }, target);
    const partial = scratch('channel_sum.partial', [chunks, quads(output) * 4]);
    return [
      {
        kernel: variantOf(kernel),
        bindings: { values4: x, partial },
        uniforms: { count: positions(x), quads: channelQuads(x), chunk, chunks },
        workgroups: workgroupsFor(kernel, chunks * channelQuads(x)),
        writes: ['partial'],
      },
      sumPartials(partial, output, chunks, context),
    ];
  },
};

/** Sum over all positions: [N,H,W,C] -> [C]. */
export function channelSum(tape: Tape, x: Tensor): Tensor {
  return tape.record(channelSumDefinition, { x }, {}).y as Tensor;
}

const fillMean: Operation<{ shape: readonly number[]; factor: number }> = {
  name: 'fill_mean',
  infer: (_, { shape }) => ({ y: { shape, layout: 'dense' } }),
  lower(node) {
    const output = need(node.outputs, 'y');
    return [
      {
        kernel: { module: 'elementwise', entry: 'fill_mean' },
        bindings: { output, scalar: need(node.inputs, 'scalar') },
        uniforms: { count: quads(output), factor: node.attributes.factor },
        workgroups: threads(quads(output)),
        writes: ['output'],
      },
    ];
  },
};

/** The sum of `count` items times a factor: what several workgroups leave is added up by another dispatch. */
function wholeSum(
  kernel: ItemKernel,
  operands: Readonly<Record<string, Tensor>>,
  { output, count, factor }: { readonly output: Tensor; readonly count: number; readonly factor: number },
  context: LoweringContext,
): Dispatch[] {
  const workgroups = workgroupsFor(kernel, count);
  const [parts] = workgroups;
  const isWhole = parts === 1;
  const left = isWhole ? output : scratch('sum.partial', [parts]);
  const sum: Dispatch = {
    kernel: variantOf(kernel),
    bindings: { ...operands, output: left },
    uniforms: { count, factor: isWhole ? factor : 1 },
    workgroups,
    writes: ['output'],
  };
  if (isWhole) return [sum];
  const adding = context.profile.kernels.sums.mean({ count: parts }, context.target);
  return [sum, ...wholeSum(adding, { values: left }, { output, count: parts, factor }, context)];
}

const meanDefinition: Operation<Record<string, never>> = {
  name: 'mean',
  infer: (inputs) => {
    if (need(inputs, 'x').layout !== 'dense') throw new Error('mean takes a dense tensor');
    return { y: scalar };
  },
  backward({ tape, node, gradient }) {
    const { shape } = need(node.inputs, 'x');
    return { x: tape.record(fillMean, { scalar: gradient('y') }, { shape, factor: 1 / elements(shape) }).y };
  },
  fusion: {
    asTotals({ inputs }) {
      const x = need(inputs, 'x');
      return [{ values: x, weight: 1 / elements(x.shape) }];
    },
  },
  lower(node, context) {
    const values = need(node.inputs, 'x');
    const count = elements(values.shape);
    const kernel = context.profile.kernels.sums.mean({ count }, context.target);
    const output = need(node.outputs, 'y');
    return wholeSum(kernel, { values }, { output, count, factor: 1 / count }, context);
  },
};

/**
 * The mean over all values.
 *
 * @param x in the `dense` layout, of any shape
 * @returns [1]
 */
export function mean(tape: Tape, x: Tensor): Tensor {
  return tape.record(meanDefinition, { x }, {}).y as Tensor;
}

const squareErrorGradient: Operation<{ factor: number }> = {
  name: 'mean_square_error_gradient',
  infer: (inputs) => ({ y: need(inputs, 'a') }),
  lower(node) {
    const output = need(node.outputs, 'y');
    return [
      {
        kernel: { module: 'elementwise', entry: 'square_error_gradient' },
        bindings: {
          a: need(node.inputs, 'a'),
          b: need(node.inputs, 'b'),
          output,
          scalar: need(node.inputs, 'scalar'),
        },
        uniforms: { count: quads(output), factor: node.attributes.factor },
        workgroups: threads(quads(output)),
        writes: ['output'],
      },
    ];
  },
};

const meanSquareErrorDefinition: Operation<Record<string, never>> = {
  name: 'mean_square_error',
  infer(inputs) {
    if (`${need(inputs, 'a').shape}` !== `${need(inputs, 'b').shape}`) throw new Error('the shapes differ');
    return { y: scalar };
  },
  backward({ tape, node, gradient, needs }) {
    const a = need(node.inputs, 'a');
    const b = need(node.inputs, 'b');
    const factor = 2 / elements(a.shape);
    const towards = (from: Tensor, to: Tensor) =>
      tape.record(squareErrorGradient, { a: from, b: to, scalar: gradient('y') }, { factor }).y;
    return { a: needs('a') ? towards(a, b) : undefined, b: needs('b') ? towards(b, a) : undefined };
  },
  lower(node, context) {
    const values4 = need(node.inputs, 'a');
    const count = quads(values4);
    const kernel = context.profile.kernels.sums.squareError({ count }, context.target);
    const sum = { output: need(node.outputs, 'y'), count, factor: 1 / elements(values4.shape) };
    return wholeSum(kernel, { values4, other4: need(node.inputs, 'b') }, sum, context);
  },
};

/**
 * mean((a - b)^2) over all values.
 *
 * @param b of a's shape
 * @returns [1]
 * @throws Error where the shapes differ
 */
export function meanSquareError(tape: Tape, a: Tensor, b: Tensor): Tensor {
  return tape.record(meanSquareErrorDefinition, { a, b }, {}).y as Tensor;
}

const asWeighted = ({ inputs, attributes }: Node<{ weights: readonly number[] }>): readonly Total[] =>
  attributes.weights.map((weight, i) => ({ values: need(inputs, `x${i}`), weight }));

const weightedSumDefinition: Operation<{ weights: readonly number[] }> = {
  name: 'weighted_sum',
  infer: () => ({ y: scalar }),
  backward({ tape, node, gradient }) {
    const dy = gradient('y') as Tensor;
    return Object.fromEntries(
      node.attributes.weights.map((weight, i) => [
        `x${i}`,
        weight === 1 ? dy : scale(tape, dy, one(tape), weight),
      ]),
    );
  },
  fusion: {
    asTotals: asWeighted,
    addTotals: (record, totals) =>
      record(weightedTotalsDefinition, Object.fromEntries(totals.map(({ values }, i) => [`x${i}`, values])), {
        weights: totals.map(({ weight }) => weight),
      }),
  },
  lower(node) {
    const { weights } = node.attributes;
    const bindings: Record<string, Tensor> = { output: need(node.outputs, 'y') };
    const uniforms: Record<string, number> = {};
    weights.forEach((weight, i) => {
      bindings[`scalar${i}`] = need(node.inputs, `x${i}`);
      uniforms[`weight${i}`] = weight;
    });
    return [
      {
        kernel: {
          module: 'reduce',
          entry: 'weighted_sum',
          conditions: { two: weights.length > 1, three: weights.length > 2, four: weights.length > 3 },
        },
        bindings,
        uniforms,
        workgroups: [1, 1, 1],
        writes: ['output'],
      },
    ];
  },
};

const totalConditions = ['two', 'three', 'four', 'five', 'six', 'seven'] as const;

/** The sum of weights[i] * (sum of all values of x_i), of at most seven dense tensors. */
const weightedTotalsDefinition: Operation<{ weights: readonly number[] }> = {
  name: 'weighted_totals',
  infer: () => ({ y: scalar }),
  fusion: { asTotals: asWeighted },
  lower({ inputs, outputs, attributes }) {
    const { weights } = attributes;
    const values = weights.map((_, i) => need(inputs, `x${i}`));
    const counts = values.map(({ shape }) => elements(shape));
    const numbered = <T>(name: string, list: readonly T[]): Record<string, T> =>
      Object.fromEntries(list.map((each, i) => [`${name}${i}`, each]));
    return [
      {
        kernel: {
          module: 'weighted_totals',
          entry: 'main',
          conditions: Object.fromEntries(totalConditions.map((name, i) => [name, weights.length > i + 1])),
        },
        bindings: { output: need(outputs, 'y'), ...numbered('values', values) },
        uniforms: {
          longest: rangeOf(counts).max,
          ...numbered('count', counts),
          ...numbered('weight', weights),
        },
        workgroups: [1, 1, 1],
        writes: ['output'],
      },
    ];
  },
};

/** A constant [1] that holds 1: the seed of a loss's gradient. */
export function one(tape: Tape): Tensor {
  return tape.constant('one', [1], 'dense', new Float32Array([1]));
}

/**
 * The sum of weights[i] * scalars[i].
 *
 * @param scalars each [1]
 * @param weights one for each scalar
 * @returns [1]
 */
export function weightedSum(tape: Tape, scalars: readonly Tensor[], weights: readonly number[]): Tensor {
  if (scalars.length > 4) {
    const head = weightedSum(tape, scalars.slice(0, 3), weights.slice(0, 3));
    return weightedSum(tape, [head, ...scalars.slice(3)], [1, ...weights.slice(3)]);
  }
  const inputs = Object.fromEntries(scalars.map((tensor, i) => [`x${i}`, tensor]));
  return tape.record(weightedSumDefinition, inputs, { weights }).y as Tensor;
}
