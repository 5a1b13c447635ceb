/**
 * Batch normalisation with the residual add and ReLU that follow it in every residual network as its epilogue.
 * Training: batch statistics, running statistics updated as PyTorch does (momentum, unbiased variance). Evaluation: running
 * statistics; `fuse` folds it into the convolution before it where nothing needs a gradient.
 */
import { type Dispatch, threads } from '../select.ts';
import { type Node, need, type OpDefinition, type Tape } from '../tape.ts';
import { channelQuads, positions, quads, type Tensor, type TensorSpec } from '../tensor.ts';
import { halves } from './gemm.ts';
import { chunking } from './reduce.ts';
import { scratch } from './scratch.ts';

export type BatchNormAttributes = {
  readonly training: boolean;
  readonly relu: boolean;
  readonly epsilon: number;
  readonly momentum: number;
};

function uniforms(x: Tensor, attributes: BatchNormAttributes): Record<string, number> {
  const { epsilon, momentum, training } = attributes;
  const quadCount = channelQuads(x);
  return {
    pixels: positions(x),
    quads: quadCount,
    ...chunking(positions(x), quadCount),
    epsilon,
    momentum,
    training: training ? 1 : 0,
  };
}

export const batchNormDefinition: OpDefinition<BatchNormAttributes> = {
  name: 'batch_norm',
  infer(inputs) {
    const x = need(inputs, 'x');
    const channels = x.shape.at(-1) as number;
    for (const name of ['weight', 'bias', 'running_mean', 'running_var'])
      if (`${need(inputs, name).shape}` !== `${channels}`) throw new Error(`${name} must be [${channels}]`);
    if (inputs.residual && `${inputs.residual.shape}` !== `${x.shape}`)
      throw new Error(`residual must be [${x.shape}]`);
    const saved: TensorSpec = { shape: [2, channels], layout: 'channels' };
    return { y: x, saved };
  },
  overwrites: (node) =>
    node.attributes.training ? [need(node.inputs, 'running_mean'), need(node.inputs, 'running_var')] : [],
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
  lower(node) {
    const { attributes, inputs, outputs } = node;
    const x = need(inputs, 'x');
    const values = uniforms(x, attributes);
    const quadCount = channelQuads(x);
    const saved = need(outputs, 'saved');
    const running = { running_mean: need(inputs, 'running_mean'), running_var: need(inputs, 'running_var') };
    const dispatches: Dispatch[] = [];
    if (attributes.training) {
      const partial = scratch('batch_norm.partial', [values.chunks as number, 2, quadCount * 4]);
      dispatches.push(
        {
          kernel: { module: 'batch_norm', entry: 'statistics' },
          bindings: { x, partial },
          uniforms: values,
          workgroups: threads(quadCount * (values.chunks as number)),
          writes: ['partial'],
          flops: 12 * quads(x),
        },
        {
          kernel: { module: 'batch_norm', entry: 'merge' },
          bindings: { partial, saved, ...running },
          uniforms: values,
          workgroups: threads(quadCount),
          writes: ['saved', 'running_mean', 'running_var'],
        },
      );
    } else {
      dispatches.push({
        kernel: { module: 'batch_norm', entry: 'use_running' },
        bindings: { saved, ...running },
        uniforms: values,
        workgroups: threads(quadCount),
        writes: ['saved'],
      });
    }
    dispatches.push({
      kernel: {
        module: 'batch_norm',
        entry: 'apply',
        conditions: { relu: attributes.relu, add: inputs.residual !== undefined },
      },
      bindings: {
        x,
        saved,
        weight: need(inputs, 'weight'),
        bias: need(inputs, 'bias'),
        y: need(outputs, 'y'),
        ...(inputs.residual && { residual: inputs.residual }),
      },
      uniforms: values,
      workgroups: threads(quads(x)),
      writes: ['y'],
      flops: 16 * quads(x),
    });
    return dispatches;
  },
};

const batchNormGradient: OpDefinition<BatchNormAttributes & { residual: boolean }> = {
  name: 'batch_norm_gradient',
  infer(inputs, { residual }) {
    const x = need(inputs, 'x');
    const weight = need(inputs, 'weight');
    return { dx: x, d_weight: weight, d_bias: weight, ...(residual && { d_residual: x }) };
  },
  lower(node) {
    const { attributes, inputs, outputs } = node;
    const x = need(inputs, 'x');
    const values = uniforms(x, attributes);
    const quadCount = channelQuads(x);
    const partial = scratch('batch_norm_gradient.partial', [values.chunks as number, 2, quadCount * 4]);
    const sums = scratch('batch_norm_gradient.sums', [2, quadCount * 4]);
    const saved = need(inputs, 'saved');
    const dy = need(inputs, 'dy');
    const { relu, residual } = attributes;
    const masked = relu ? { y: need(inputs, 'y') } : {};
    return [
      {
        kernel: { module: 'batch_norm', entry: 'gradient_sums', conditions: { relu } },
        bindings: { x, saved, partial, dy, ...masked },
        uniforms: values,
        workgroups: threads(quadCount * (values.chunks as number)),
        writes: ['partial'],
        flops: 20 * quads(x),
      },
      {
        kernel: { module: 'batch_norm', entry: 'merge_gradient' },
        bindings: { partial, d_weight: need(outputs, 'd_weight'), d_bias: need(outputs, 'd_bias'), sums },
        uniforms: values,
        workgroups: threads(quadCount),
        writes: ['d_weight', 'd_bias', 'sums'],
      },
      {
        kernel: { module: 'batch_norm', entry: 'apply_gradient', conditions: { relu, add: residual } },
        bindings: {
          x,
          saved,
          weight: need(inputs, 'weight'),
          dy,
          dx: need(outputs, 'dx'),
          sums,
          ...masked,
          ...(residual && { residual: need(outputs, 'd_residual') }),
        },
        uniforms: values,
        workgroups: threads(quads(x)),
        writes: residual ? ['dx', 'residual'] : ['dx'],
        flops: 28 * quads(x),
      },
    ];
  },
};

export interface BatchNormParameters {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly running_mean: Tensor;
  readonly running_var: Tensor;
}

export interface BatchNormOptions {
  readonly training: boolean;
  readonly relu?: boolean;
  /** Added after the normalisation, before the ReLU. */
  readonly residual?: Tensor;
  readonly epsilon?: number;
  readonly momentum?: number;
}

/** relu?(batch_norm(x) + residual?) over [N,H,W,C]. */
export function batchNorm(tape: Tape, x: Tensor, parameters: BatchNormParameters, options: BatchNormOptions): Tensor {
  const { training, relu = false, residual, epsilon = 1e-5, momentum = 0.1 } = options;
  return tape.record(batchNormDefinition, { x, ...parameters, residual }, { training, relu, epsilon, momentum })
    .y as Tensor;
}

export function isBatchNorm(node: Node): node is Node & { attributes: BatchNormAttributes } {
  return node.definition.name === 'batch_norm';
}

// As in kernels/batch_norm_fold.wesl.
const rowsPerThread = 16;

/** Folded weights and bias of a convolution followed by batch norm in evaluation; recorded by `fuse` in the prologue. */
export const batchNormFoldDefinition: OpDefinition<{ epsilon: number; transposed: boolean }> = {
  name: 'batch_norm_fold',
  infer: (inputs) => ({ w: need(inputs, 'w'), b: need(inputs, 'bias') }),
  half: () => ({ inputs: ['w'], outputs: ['w'] }),
  lower(node) {
    const { inputs, outputs, attributes } = node;
    const filter = need(inputs, 'w');
    const [, , rows] = filter.shape as [number, number, number];
    const values = {
      rows: Math.ceil(rows / 4) * 4,
      quads: Math.ceil((filter.shape[3] as number) / 4),
      epsilon: attributes.epsilon,
    };
    const weight = need(inputs, 'weight');
    const running_var = need(inputs, 'running_var');
    const w = need(outputs, 'w');
    const b = need(outputs, 'b');
    const lines = quads(w) / values.quads;
    const count = attributes.transposed ? quads(w) : Math.ceil(lines / rowsPerThread) * values.quads;
    return [
      {
        kernel: {
          module: 'batch_norm_fold',
          entry: 'fold_weights',
          conditions: { transposed: attributes.transposed, ...halves({ weights: filter, output: w }) },
        },
        bindings: { original: filter, weight, running_var, output: w },
        uniforms: { ...values, count, size: quads(w) },
        workgroups: threads(count),
        writes: ['output'],
      },
      {
        kernel: { module: 'batch_norm_fold', entry: 'fold_bias', conditions: { bias: inputs.b !== undefined } },
        bindings: {
          weight,
          bias: need(inputs, 'bias'),
          running_mean: need(inputs, 'running_mean'),
          running_var,
          output: b,
          ...(inputs.b && { convolution_bias: inputs.b }),
        },
        uniforms: { ...values, count: quads(b) },
        workgroups: threads(quads(b)),
        writes: ['output'],
      },
    ];
  },
};
