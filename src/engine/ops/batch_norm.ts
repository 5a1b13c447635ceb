/**
 * Batch normalisation with the residual add and ReLU that follow it in every residual network as its
 * epilogue. Training: batch statistics, running statistics updated as PyTorch does (momentum, unbiased
 * variance). Evaluation: running statistics; `fuse` folds it into the convolution before it where nothing
 * needs a gradient.
 */

import { scaledRows } from '../../../kernels/sizes.ts';
import type { LoweringContext } from '../device/context.ts';
import { variantOf, workgroupsFor } from '../device/families.ts';
import { type Dispatch, threads } from '../dispatch.ts';
import { type Node, need, type Tape } from '../graph/tape.ts';
import { channelQuads, positions, quads, type Tensor, type TensorSpec } from '../graph/tensor.ts';
import { halves } from './gemm.ts';
import { type BatchRange, type Operation, wholeBatch } from './operation.ts';
import { scratch } from './scratch.ts';

export type BatchNormAttributes = {
  readonly training: boolean;
  readonly relu: boolean;
  readonly epsilon: number;
  readonly momentum: number;
  /** Rows of each tile that the convolution before has summed up, in the input `statistics`. */
  readonly chunk?: number;
};

interface Part {
  readonly range: BatchRange;
  readonly perImage: number;
  readonly uniforms: Readonly<Record<string, number>>;
}

/**
 * Uniforms of the batch as a whole, and of each range of images with its chunks; chunks do not cross ranges.
 */
function plan(
  x: Tensor,
  ranges: readonly BatchRange[],
  { epsilon, momentum, training }: BatchNormAttributes,
  { profile, target }: LoweringContext,
  given?: number,
) {
  const pixels = positions(x);
  const perImage = pixels / (x.shape[0] as number);
  const quadCount = channelQuads(x);
  let chunk = given ?? profile.kernels.batchNorm.chunk(pixels, quadCount, target);
  // `merge` takes every chunk but the last for a full one.
  if (ranges.length > 1) for (chunk = Math.min(chunk, perImage); perImage % chunk !== 0; ) chunk--;
  const chunks = Math.ceil(pixels / chunk);
  const whole = {
    pixels,
    quads: quadCount,
    chunk,
    chunks,
    total: pixels,
    epsilon,
    momentum,
    training: training ? 1 : 0,
  };
  const parts = ranges.map((range): Part => {
    const own = range.images * perImage;
    const firstChunk = (range.first * perImage) / chunk;
    return {
      range,
      perImage,
      uniforms: { ...whole, pixels: own, first_chunk: firstChunk, chunks: Math.ceil(own / chunk) },
    };
  });
  return { whole, parts, perImage };
}

/** What the kernels of a part are chosen by. */
function problemOf({ uniforms, perImage }: Pick<Part, 'uniforms' | 'perImage'>) {
  const { pixels, quads, chunks } = uniforms as { pixels: number; quads: number; chunks: number };
  return { rows: pixels, rowsPerImage: perImage, chunks, channelQuads: quads };
}

const parameterNames = ['weight', 'bias', 'running_mean', 'running_var'] as const;

export const batchNormDefinition: Operation<BatchNormAttributes> = {
  name: 'batch_norm',
  infer(inputs) {
    const x = need(inputs, 'x');
    const channels = x.shape.at(-1) as number;
    for (const name of parameterNames)
      if (`${need(inputs, name).shape}` !== `${channels}`) throw new Error(`${name} must be [${channels}]`);
    if (inputs.residual && `${inputs.residual.shape}` !== `${x.shape}`)
      throw new Error(`residual must be [${x.shape}]`);
    const saved: TensorSpec = { shape: [2, channels], layout: 'channels' };
    return { y: x, saved };
  },
  overwrites: (node) =>
    node.attributes.training
      ? { tensors: [need(node.inputs, 'running_mean'), need(node.inputs, 'running_var')] }
      : {},
  backward({ tape, node, gradient, needs }) {
    const dy = gradient('y');
    const { dx, d_weight, d_bias, d_residual } = tape.record(
      batchNormGradient,
      {
        x: need(node.inputs, 'x'),
        weight: need(node.inputs, 'weight'),
        saved: need(node.outputs, 'saved'),
        y: node.attributes.relu ? need(node.outputs, 'y') : undefined,
        dy,
      },
      { ...node.attributes, residual: needs('residual') && node.attributes.relu },
    );
    return { x: dx, weight: d_weight, bias: d_bias, residual: node.attributes.relu ? d_residual : dy };
  },
  batch: { does: 'phases', operands: ['x', 'residual', 'y'], lower: lowerForward },
  fusion: {
    asChannelScaling: ({ inputs, outputs, attributes }) =>
      attributes.training
        ? undefined
        : {
            of: need(inputs, 'x'),
            parameters: parameterNames.map((name) => need(inputs, name)),
            lost: [need(outputs, 'saved')],
            epilogue: { residual: inputs.residual, relu: attributes.relu },
            fold(record, w, b, outputChannels) {
              const parameters = Object.fromEntries(parameterNames.map((name) => [name, need(inputs, name)]));
              return record(
                batchNormFoldDefinition,
                { w, b, ...parameters },
                {
                  epsilon: attributes.epsilon,
                  transposed: outputChannels === 'rows',
                  scaledByReaders: false,
                },
              );
            },
          },
    takesMomentsOf: ({ inputs, attributes }) => (attributes.training ? need(inputs, 'x') : undefined),
  },
  lower: (node, context) => lowerForward(node, [wholeBatch(need(node.inputs, 'x'))], context),
};

function lowerForward(
  node: Node<BatchNormAttributes>,
  ranges: readonly BatchRange[],
  context: LoweringContext,
): Dispatch[] {
  const { target } = context;
  const { batchNorm: kernels } = context.profile.kernels;
  const { attributes, inputs, outputs } = node;
  const x = need(inputs, 'x');
  const { statistics } = inputs;
  const { whole, parts, perImage } = plan(x, ranges, attributes, context, statistics && attributes.chunk);
  const saved = need(outputs, 'saved');
  const running = { running_mean: need(inputs, 'running_mean'), running_var: need(inputs, 'running_var') };
  const dispatches: Dispatch[] = [];
  if (attributes.training) {
    const partial = statistics ?? scratch('batch_norm.partial', [whole.chunks, 2, whole.quads * 4]);
    for (const part of statistics ? [] : parts) {
      const problem = problemOf(part);
      const kernel = kernels.statistics(problem, target);
      dispatches.push({
        kernel: variantOf(kernel),
        bindings: { x: part.range.of(x), partial },
        uniforms: part.uniforms,
        workgroups: workgroupsFor(kernel, problem.chunks * problem.channelQuads),
        writes: ['partial'],
        flops: 12 * quads(x) * part.range.share,
      });
    }
    const merge = kernels.merge(problemOf({ uniforms: whole, perImage }), target);
    dispatches.push({
      kernel: variantOf(merge),
      bindings: { partial, saved, ...running },
      uniforms: whole,
      workgroups: workgroupsFor(merge, whole.quads),
      writes: ['saved', 'running_mean', 'running_var'],
    });
  } else {
    dispatches.push({
      kernel: { module: 'batch_norm', entry: 'use_running' },
      bindings: { saved, ...running },
      uniforms: whole,
      workgroups: threads(whole.quads),
      writes: ['saved'],
    });
  }
  for (const part of parts) {
    const problem = problemOf(part);
    const kernel = kernels.apply(problem, target);
    dispatches.push({
      kernel: variantOf(kernel, { relu: attributes.relu, add: inputs.residual !== undefined }),
      bindings: {
        x: part.range.of(x),
        saved,
        weight: need(inputs, 'weight'),
        bias: need(inputs, 'bias'),
        y: part.range.of(need(outputs, 'y')),
        ...(inputs.residual && { residual: part.range.of(inputs.residual) }),
      },
      uniforms: part.uniforms,
      workgroups: workgroupsFor(kernel, problem.rows * problem.channelQuads),
      writes: ['y'],
      flops: 16 * quads(x) * part.range.share,
    });
  }
  return dispatches;
}

type GradientAttributes = BatchNormAttributes & { readonly residual: boolean };

const batchNormGradient: Operation<GradientAttributes> = {
  name: 'batch_norm_gradient',
  infer(inputs, { residual }) {
    const x = need(inputs, 'x');
    const weight = need(inputs, 'weight');
    return { dx: x, d_weight: weight, d_bias: weight, ...(residual && { d_residual: x }) };
  },
  batch: { does: 'phases', operands: ['x', 'y', 'dy', 'dx', 'd_residual'], lower: lowerGradient },
  lower: (node, context) => lowerGradient(node, [wholeBatch(need(node.inputs, 'x'))], context),
};

function lowerGradient(
  node: Node<GradientAttributes>,
  ranges: readonly BatchRange[],
  context: LoweringContext,
): Dispatch[] {
  const { target } = context;
  const { batchNorm: kernels } = context.profile.kernels;
  const { attributes, inputs, outputs } = node;
  const { relu, residual } = attributes;
  const x = need(inputs, 'x');
  const { whole, parts, perImage } = plan(x, ranges, attributes, context);
  const partial = scratch('batch_norm_gradient.partial', [whole.chunks, 2, whole.quads * 4]);
  const sums = scratch('batch_norm_gradient.sums', [2, whole.quads * 4]);
  const saved = need(inputs, 'saved');
  const read = ({ range }: Part) => ({
    x: range.of(x),
    dy: range.of(need(inputs, 'dy')),
    ...(relu && { y: range.of(need(inputs, 'y')) }),
  });
  const merge = kernels.mergeGradient(problemOf({ uniforms: whole, perImage }), target);
  return [
    ...parts.map((part): Dispatch => {
      const problem = problemOf(part);
      const kernel = kernels.gradientSums(problem, target);
      return {
        kernel: variantOf(kernel, { relu }),
        bindings: { ...read(part), saved, partial },
        uniforms: part.uniforms,
        workgroups: workgroupsFor(kernel, problem.chunks * problem.channelQuads),
        writes: ['partial'],
        flops: 20 * quads(x) * part.range.share,
      };
    }),
    {
      kernel: variantOf(merge),
      bindings: { partial, d_weight: need(outputs, 'd_weight'), d_bias: need(outputs, 'd_bias'), sums },
      uniforms: whole,
      workgroups: workgroupsFor(merge, whole.quads),
      writes: ['d_weight', 'd_bias', 'sums'],
    },
    ...parts.map((part): Dispatch => {
      const problem = problemOf(part);
      const kernel = kernels.applyGradient(problem, target);
      return {
        kernel: variantOf(kernel, { relu, add: residual }),
        bindings: {
          ...read(part),
          saved,
          weight: need(inputs, 'weight'),
          dx: part.range.of(need(outputs, 'dx')),
          sums,
          ...(residual && { residual: part.range.of(need(outputs, 'd_residual')) }),
        },
        uniforms: part.uniforms,
        workgroups: workgroupsFor(kernel, problem.rows * problem.channelQuads),
        writes: residual ? ['dx', 'residual'] : ['dx'],
        flops: 28 * quads(x) * part.range.share,
      };
    }),
  ];
}

/** Vectors over channels, [C]. */
export interface BatchNormParameters {
  /** Scale. */
  readonly weight: Tensor;
  /** Shift. */
  readonly bias: Tensor;
  /** Mean in evaluation; training moves it by the momentum. */
  readonly running_mean: Tensor;
  /** Variance in evaluation; training moves it by the momentum, unbiased. */
  readonly running_var: Tensor;
}

/** How a batch norm normalises, and what follows it. */
export interface BatchNormOptions {
  /** Statistics of the batch, and the running ones are updated; otherwise the running statistics. */
  readonly training: boolean;
  /** Ends with max(., 0). */
  readonly relu?: boolean;
  /** Added after the normalisation, before the ReLU; of x's shape. */
  readonly residual?: Tensor;
  /** Added to the variance; 1e-5 by default. */
  readonly epsilon?: number;
  /** Share of the batch in the new running statistics; 0.1 by default. */
  readonly momentum?: number;
}

/**
 * Batch normalisation as PyTorch's BatchNorm2d, with what follows it in residual networks:
 * relu?(weight * (x - mean) / sqrt(var + epsilon) + bias + residual?).
 *
 * @param x [N,H,W,C]
 * @returns [N,H,W,C]
 * @throws Error naming the operand whose shape does not fit
 */
export function batchNorm(
  tape: Tape,
  x: Tensor,
  parameters: BatchNormParameters,
  options: BatchNormOptions,
): Tensor {
  const { training, relu = false, residual, epsilon = 1e-5, momentum = 0.1 } = options;
  return tape.record(
    batchNormDefinition,
    { x, ...parameters, residual },
    { training, relu, epsilon, momentum },
  ).y as Tensor;
}

type BatchNormFoldAttributes = {
  readonly epsilon: number;
  /** Output channels are the rows of the weights. */
  readonly transposed: boolean;
  /** The weights are scaled where they are read: `w` only names their shape. */
  readonly scaledByReaders: boolean;
};

/**
 * Folded weights and bias of a convolution followed by batch norm in evaluation, and the scale [Co] between
 * the weights and the folded ones; recorded by the pass `fold_norm`.
 */
const batchNormFoldDefinition: Operation<BatchNormFoldAttributes> = {
  name: 'batch_norm_fold',
  infer: (inputs) => ({ w: need(inputs, 'w'), b: need(inputs, 'bias'), scale: need(inputs, 'weight') }),
  half: () => ({ inputs: ['w'], outputs: ['w'] }),
  fusion: {
    scaledWeights: ({ inputs, outputs, attributes }) => ({
      scaled: need(outputs, 'w'),
      unscaled: need(inputs, 'w'),
      scale: need(outputs, 'scale'),
      transposed: attributes.transposed,
    }),
  },
  lower(node) {
    const { inputs, outputs, attributes } = node;
    const filter = need(inputs, 'w');
    const [, , rows] = filter.shape as [number, number, number];
    const values = {
      rows: Math.ceil(rows / 4) * 4,
      quads: Math.ceil((filter.shape[3] as number) / 4),
      epsilon: attributes.epsilon,
    };
    const scale = need(outputs, 'scale');
    const w = need(outputs, 'w');
    const b = need(outputs, 'b');
    const lines = quads(w) / values.quads;
    const count = attributes.transposed ? quads(w) : Math.ceil(lines / scaledRows) * values.quads;
    const fold: Dispatch = {
      kernel: { module: 'batch_norm_fold', entry: 'fold', conditions: { bias: inputs.b !== undefined } },
      bindings: {
        weight: need(inputs, 'weight'),
        bias: need(inputs, 'bias'),
        running_mean: need(inputs, 'running_mean'),
        running_var: need(inputs, 'running_var'),
        output: b,
        scale,
        ...(inputs.b && { convolution_bias: inputs.b }),
      },
      uniforms: { ...values, count: quads(b) },
      workgroups: threads(quads(b)),
      writes: ['output', 'scale'],
    };
    if (attributes.scaledByReaders) return [fold];
    return [
      fold,
      {
        kernel: {
          module: 'batch_norm_fold',
          entry: 'scale_weights',
          conditions: { transposed: attributes.transposed, ...halves({ weights: filter, output: w }) },
        },
        bindings: { original: filter, scale, output: w },
        uniforms: { ...values, count, size: quads(w) },
        workgroups: threads(count),
        writes: ['output'],
      },
    ];
  },
};
