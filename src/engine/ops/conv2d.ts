/**
 * conv2d and its adjoint conv_transpose2d, any kernel size, stride, padding and dilation.
 *
 * Shapes: x [N, H, W, Ci], weights [kernelHeight, kernelWidth, Ci, Co], y [N, OH, OW, Co]. A transposed
 * convolution takes x [N, H, W, Co] with the weights of the convolution that it is the adjoint of,
 * [kernelHeight, kernelWidth, Ci, Co], and gives [N, (H - 1) * stride + kernelHeight - 2 * padding, ..., Ci].
 * So three kernels serve both: the forward gather, the data gradient (which is the transposed convolution)
 * and the weight gradient.
 *
 * The epilogue of the gathering kernels adds a bias, a residual or the gated residual, and applies ReLU;
 * `fuse` fills it.
 */

import type { LoweringContext } from '../device/context.ts';
import type { MatrixProblem } from '../device/families.ts';
import type { Dispatch } from '../dispatch.ts';
import { type HalfOperands, type Node, need, type Tape, type Tensors } from '../graph/tape.ts';
import { channelQuads, elements, positions, type Tensor, type TensorSpec } from '../graph/tensor.ts';
import type { TileMoments } from './fusion.ts';
import {
  type ConvolutionAttributes,
  dimension,
  type Gather,
  gatherDispatches,
  gatherProblem,
  halfRunsOf,
  productTextures,
  statisticsChunks,
} from './gemm.ts';
import type { BatchOperands, Operation } from './operation.ts';
import { channelSum } from './reduce.ts';
import { weightGradient } from './weight_gradient.ts';

export type TransposedAttributes = ConvolutionAttributes & {
  /** Height and width of the output, fixed by the caller where the shapes leave a choice. */
  readonly outputSize: readonly [number, number];
};

function checkRank(inputs: Tensors): void {
  for (const name of ['x', 'w'])
    if (need(inputs, name).shape.length !== 4) throw new Error(`${name} must have 4 dimensions`);
}

export function checkEpilogue(inputs: Tensors, output: TensorSpec): void {
  const channels = output.shape[3];
  if (inputs.b && `${inputs.b.shape}` !== `${[channels]}`) throw new Error(`bias must be [${channels}]`);
  if (inputs.residual && `${inputs.residual.shape}` !== `${output.shape}`)
    throw new Error(`residual must be [${output.shape}]`);
  if (inputs.gate && elements(inputs.gate.shape) !== positions(output))
    throw new Error('gate must have a value per pixel');
}

function gatherOf(
  node: Node<ConvolutionAttributes>,
  context: LoweringContext,
  dataGradient: boolean,
): Gather {
  const w = need(node.inputs, 'w');
  return {
    source: need(node.inputs, 'x'),
    sourceTexture: node.inputs.x_texture,
    weights: node.inputs.w_texture ?? w,
    weightShape: w.shape,
    output: need(node.outputs, 'y'),
    inputs: node.inputs,
    attributes: node.attributes,
    dataGradient,
    context,
    statistics: node.outputs.statistics,
  };
}

function productOf(node: Node<ConvolutionAttributes>, dataGradient: boolean): MatrixProblem {
  return gatherProblem({
    source: need(node.inputs, 'x'),
    output: need(node.outputs, 'y'),
    weightShape: need(node.inputs, 'w').shape,
    attributes: node.attributes,
    dataGradient,
  });
}

function lowerConvolution(
  node: Node<ConvolutionAttributes>,
  context: LoweringContext,
  dataGradient: boolean,
): Dispatch[] {
  return gatherDispatches(gatherOf(node, context, dataGradient));
}

/** The moments of every tile of rows and channel, in the kernel's registers as it computes them. */
function tileMoments(node: Node<ConvolutionAttributes>, context: LoweringContext): TileMoments | undefined {
  const { b, residual, gate } = node.inputs;
  // The kernel sums up the product alone.
  if (node.attributes.relu || b || residual || gate) return undefined;
  const tiles = statisticsChunks(gatherOf(node, context, false));
  return tiles && { chunk: tiles.chunk, shape: [tiles.chunks, 2, 4 * channelQuads(need(node.outputs, 'y'))] };
}

/** Whether the weights are 3x3, without stride and dilation. */
function hasWinogradForm({ inputs, attributes }: Node<ConvolutionAttributes>): boolean {
  const [height, width] = need(inputs, 'w').shape;
  return height === 3 && width === 3 && attributes.stride === 1 && attributes.dilation === 1;
}

/** Whether it is a 1x1 product without an epilogue. */
function keepsRows({ inputs, attributes }: Node<ConvolutionAttributes>): boolean {
  const [height, width] = need(inputs, 'w').shape;
  const { b, residual, gate } = inputs;
  const plain = attributes.stride === 1 && attributes.padding === 0 && !attributes.relu;
  return height === 1 && width === 1 && plain && !b && !residual && !gate;
}

/** Every operand of a gathering kernel but bias and gate. */
export const convolutionHalves: HalfOperands = {
  inputs: ['x', 'w', 'x_texture', 'w_texture', 'residual'],
  outputs: ['y'],
};

const convolutionBatch: BatchOperands = { does: 'map', operands: ['x', 'residual', 'gate', 'y'] };

const noEpilogue = (attributes: {
  stride: number;
  padding: number;
  dilation: number;
}): ConvolutionAttributes => ({
  stride: attributes.stride,
  padding: attributes.padding,
  dilation: attributes.dilation,
  relu: false,
});

export const conv2dDefinition: Operation<ConvolutionAttributes> = {
  name: 'conv2d',
  infer(inputs, { stride, padding, dilation }) {
    checkRank(inputs);
    const [n, h, w, channels] = need(inputs, 'x').shape as [number, number, number, number];
    const [kh, kw, ci, co] = need(inputs, 'w').shape as [number, number, number, number];
    if (ci !== channels) throw new Error(`the weights take ${ci} channels, x has ${channels}`);
    const oh = Math.floor((h + 2 * padding - dilation * (kh - 1) - 1) / stride) + 1;
    const ow = Math.floor((w + 2 * padding - dilation * (kw - 1) - 1) / stride) + 1;
    if (oh < 1 || ow < 1) throw new Error(`the kernel is larger than the padded image ${h}x${w}`);
    const y = { shape: [n, oh, ow, co], layout: 'channels' } as const;
    checkEpilogue(inputs, y);
    return { y };
  },
  backward({ tape, node, gradient, needs }) {
    if (node.attributes.relu || node.inputs.residual) throw new Error('gradients are taken before fusion');
    const dy = gradient('y') as Tensor;
    const x = need(node.inputs, 'x');
    const w = need(node.inputs, 'w');
    const attributes = noEpilogue(node.attributes);
    const [kh, kw] = w.shape as [number, number];
    return {
      x: needs('x')
        ? tape.record(
            convTranspose2dDefinition,
            { x: dy, w },
            { ...attributes, outputSize: [dimension(x, 1), dimension(x, 2)] },
          ).y
        : undefined,
      w: needs('w') ? weightGradient(tape, x, dy, w, { ...node.attributes, kernel: [kh, kw] }) : undefined,
      b: needs('b') ? channelSum(tape, dy) : undefined,
    };
  },
  half: () => convolutionHalves,
  batch: convolutionBatch,
  fusion: {
    epilogue: true,
    weights: 'columns',
    linear: true,
    keepsRows,
    hasWinogradForm,
    tileMoments,
    halfRuns: (node, context) => halfRunsOf(gatherOf(node, context, false)),
    textures: productTextures,
  },
  matrixProduct: (node) => productOf(node, false),
  lower: (node, context) => lowerConvolution(node, context, false),
};

export const convTranspose2dDefinition: Operation<TransposedAttributes> = {
  name: 'conv_transpose2d',
  infer(inputs, { outputSize }) {
    checkRank(inputs);
    const [n, , , channels] = need(inputs, 'x').shape as [number, number, number, number];
    const [, , ci, co] = need(inputs, 'w').shape as [number, number, number, number];
    if (co !== channels) throw new Error(`the weights take ${co} channels, x has ${channels}`);
    const y = { shape: [n, ...outputSize, ci], layout: 'channels' } as const;
    checkEpilogue(inputs, y);
    return { y };
  },
  backward({ tape, node, gradient, needs }) {
    if (node.attributes.relu || node.inputs.residual) throw new Error('gradients are taken before fusion');
    const dy = gradient('y') as Tensor;
    const x = need(node.inputs, 'x');
    const w = need(node.inputs, 'w');
    const [kh, kw] = w.shape as [number, number];
    return {
      x: needs('x') ? tape.record(conv2dDefinition, { x: dy, w }, noEpilogue(node.attributes)).y : undefined,
      w: needs('w') ? weightGradient(tape, dy, x, w, { ...node.attributes, kernel: [kh, kw] }) : undefined,
      b: needs('b') ? channelSum(tape, dy) : undefined,
    };
  },
  half: () => convolutionHalves,
  batch: convolutionBatch,
  fusion: {
    epilogue: true,
    weights: 'rows',
    keepsRows,
    halfRuns: (node, context) => halfRunsOf(gatherOf(node, context, true)),
    textures: productTextures,
  },
  matrixProduct: (node) => productOf(node, true),
  lower: (node, context) => lowerConvolution(node, context, true),
};

/** Whole numbers, the same in both directions. */
export interface ConvolutionOptions {
  /** Pixels from one output to the next; 1 by default. */
  readonly stride?: number;
  /** Zeros around the image; 0 by default. */
  readonly padding?: number;
  /** Pixels from one weight to the next; 1 by default. */
  readonly dilation?: number;
}

/**
 * A convolution (a cross-correlation, as PyTorch's Conv2d).
 *
 * @param x [N,H,W,Ci]
 * @param w [kernelHeight,kernelWidth,Ci,Co], in the `filter` layout
 * @param b [Co]
 * @returns [N,OH,OW,Co], OH = floor((H + 2 * padding - dilation * (kernelHeight - 1) - 1) / stride) + 1
 * @throws Error where channels differ, or the kernel is larger than the padded image
 */
export function conv2d(
  tape: Tape,
  x: Tensor,
  w: Tensor,
  b?: Tensor,
  options: ConvolutionOptions = {},
): Tensor {
  const { stride = 1, padding = 0, dilation = 1 } = options;
  return tape.record(conv2dDefinition, { x, w, b }, { stride, padding, dilation, relu: false }).y as Tensor;
}

/**
 * The adjoint of {@link conv2d} with the same weights, without padding (PyTorch's ConvTranspose2d).
 *
 * @param x [N,H,W,Co]
 * @param w [kernelHeight,kernelWidth,Ci,Co], in the `filter` layout
 * @returns [N,(H-1)*stride+kernelHeight,(W-1)*stride+kernelWidth,Ci]
 * @throws Error where channels differ
 */
export function convTranspose2d(tape: Tape, x: Tensor, w: Tensor, options: { stride?: number } = {}): Tensor {
  const stride = options.stride ?? 1;
  const size = (axis: number) => (dimension(x, axis) - 1) * stride + (w.shape[axis - 1] as number);
  const attributes = {
    stride,
    padding: 0,
    dilation: 1,
    relu: false,
    outputSize: [size(1), size(2)] as const,
  };
  return tape.record(convTranspose2dDefinition, { x, w }, attributes).y as Tensor;
}
