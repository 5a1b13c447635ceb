/**
 * The dispatch of a gathering matrix product: convolution forward, data gradient, 1x1, transposed, and the
 * batched products of Winograd. The family `convolution` serves them all (kernels/convolution.wesl).
 */
import { chooseMatrixKernel, chooseSplits } from '../device/choose.ts';
import type { LoweringContext } from '../device/context.ts';
import {
  type MatrixKernel,
  type MatrixProblem,
  matrixGrid,
  sumsHalfRuns,
  variantOf,
} from '../device/families.ts';
import { type Dispatch, groups, threads } from '../dispatch.ts';
import type { Tensors } from '../graph/tape.ts';
import { channelQuads, positions, quads, roundUp, type Tensor, type View } from '../graph/tensor.ts';
import type { HalfRuns, TextureOperand } from './fusion.ts';
import { scratch } from './scratch.ts';

export type ConvolutionAttributes = {
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  /** ReLU in the epilogue. */
  readonly relu: boolean;
};

/** What the gathering kernels read from storage textures where the target has them. */
export const productTextures: readonly TextureOperand[] = [
  { input: 'x', isWeights: false },
  { input: 'w', isWeights: true },
];

export function dimension(tensor: Tensor, axis: number): number {
  return tensor.shape[axis] as number;
}

/** Bindings and conditions of the epilogue. */
export function epilogue(inputs: Tensors) {
  const { b, residual, gate } = inputs;
  return {
    conditions: { bias: b !== undefined, add: residual !== undefined && !gate, gate: gate !== undefined },
    bindings: { ...(b && { bias: b }), ...(residual && { residual }), ...(gate && { gate }) },
    uniforms: { residual_quads: residual ? quads(residual) : 0 },
  };
}

/** Conditions that say which operands are 16-bit floats. */
export function halves(operands: Readonly<Record<string, Tensor | undefined>>): Record<string, boolean> {
  const conditions: Record<string, boolean> = {};
  for (const [name, tensor] of Object.entries(operands)) conditions[`${name}_half`] = tensor?.half ?? false;
  return { ...conditions, half: Object.values(conditions).includes(true) };
}

export interface Gather {
  readonly source: Tensor;
  /** The source once more as a texture, read in its place. */
  readonly sourceTexture?: Tensor | undefined;
  /** In memory or as a texture. */
  readonly weights: Tensor | View;
  readonly weightShape: readonly number[];
  readonly output: Tensor;
  readonly inputs: Tensors;
  readonly attributes: ConvolutionAttributes;
  readonly dataGradient: boolean;
  readonly context: LoweringContext;
  /** Where every tile of rows leaves the moments of its columns ({@link statisticsChunks}). */
  readonly statistics?: Tensor | undefined;
  /** Number of independent 1x1 products: image b of the source with tap b of the weights. */
  readonly batches?: number;
}

/** The size of a gathering product: one stride phase of it, for data gradients. */
export function gatherProblem(
  { source, output, weightShape, attributes, dataGradient }: Omit<Gather, 'weights' | 'inputs' | 'context'>,
  batched = false,
  half = false,
): MatrixProblem {
  const [batch, height, width] = output.shape as [number, number, number];
  const step = dataGradient ? attributes.stride : 1;
  const [kernelHeight, kernelWidth] = weightShape as [number, number];
  const imageRows = Math.ceil(height / step) * Math.ceil(width / step);
  return {
    family: 'convolution',
    rows: (batched ? 1 : batch) * imageRows,
    imageRows,
    columnQuads: channelQuads(output),
    depth: Math.ceil((kernelHeight * kernelWidth) / step ** 2) * channelQuads(source),
    half,
    batched,
    dataGradient,
  };
}

/** Whether the taps of a row of the kernel are one run of quads, for they lie next to each other. */
function isOneRun({ attributes, dataGradient }: Gather): boolean {
  return !dataGradient && attributes.dilation === 1;
}

/** How the kernel of a product sums it up in 16 bits; undefined where it does not. */
export function halfRunsOf(gather: Gather): HalfRuns | undefined {
  const { source, weights, sourceTexture, dataGradient, context } = gather;
  if (sourceTexture || !('half' in weights) || weights.layout === 'texture') return undefined;
  if (!source.half || !weights.half) return undefined;
  const kernel = chooseMatrixKernel({ ...gatherProblem(gather, false, true), halfRuns: true }, context);
  return sumsHalfRuns(kernel) ? { transposed: dataGradient, oneRun: isOneRun(gather) } : undefined;
}

/** The dispatches of a gathering convolution; also used by operations that need a matrix product. */
export function gatherDispatches(gather: Gather): Dispatch[] {
  const { source, output, attributes, dataGradient, context, batches } = gather;
  const [, height, width, outputChannels] = output.shape as [number, number, number, number];
  const { stride, padding, dilation } = attributes;
  const step = dataGradient ? stride : 1;
  const rowHeight = Math.ceil(height / step);
  const rowWidth = Math.ceil(width / step);
  const weights = 'layout' in gather.weights ? gather.weights : gather.weights.tensor;
  const half = (gather.sourceTexture ?? source).half && weights.half;
  const { unscale } = gather.inputs;
  const problem = {
    ...gatherProblem(gather, batches !== undefined, half),
    ...(unscale && { halfRuns: true }),
  };
  const { rows, columnQuads: outputQuads } = problem;
  const kernel = chooseMatrixKernel(problem, context);
  if (unscale && !(half && sumsHalfRuns(kernel)))
    throw new Error(`${kernel.module} cannot take weights that are scaled for sums in 16 bits`);
  const { columnTiles, workgroups } = matrixGrid(kernel, rows, outputQuads);
  const ending = epilogue(gather.inputs);
  const [kernelHeight, kernelWidth] = gather.weightShape as [number, number];
  const oneRun = isOneRun(gather);
  const weightsTexture = weights.layout === 'texture';
  const depth = oneRun ? kernelWidth * channelQuads(source) : channelQuads(source);
  const splits = batches === undefined ? splitsOf(gather, kernel, problem, depth) : 1;
  // Ranges begin at whole steps of the kernel.
  const splitDepth = roundUp(Math.ceil(depth / splits), kernel.step);
  const parts = splits > 1 ? scratch('convolution.parts', [splits, quads(output) * 4]) : undefined;
  const uniforms = {
    source_height: dimension(source, 1),
    source_width: dimension(source, 2),
    source_quads: channelQuads(source),
    rows,
    row_height: rowHeight,
    row_width: rowWidth,
    output_height: height,
    output_width: width,
    output_quads: outputQuads,
    kernel_height: kernelHeight,
    kernel_width: kernelWidth,
    taps: oneRun ? 1 : kernelWidth,
    depth,
    stride,
    padding,
    dilation,
    column_tiles: columnTiles,
    relu: attributes.relu ? 1 : 0,
    splits,
    split_depth: splitDepth,
    output_pixels: positions(output),
    ...tapSteps(attributes, dataGradient),
    inverse_row_width: Math.fround(1 / rowWidth),
    inverse_row_height: Math.fround(1 / rowHeight),
    ...ending.uniforms,
  };
  const product: Dispatch = {
    kernel: variantOf(kernel, {
      ...(parts ? {} : ending.conditions),
      ...(gather.statistics && { statistics: true }),
      data_gradient: dataGradient,
      batched: batches !== undefined,
      ...(rows > reciprocalRows && { many_rows: true }),
      ...(kernel.blocks && !weightsTexture && weightLine(gather) % blockQuads === 0 && { blocks: true }),
      split: parts !== undefined,
      source_texture: gather.sourceTexture !== undefined,
      weights_texture: weightsTexture,
      ...halves({
        source: gather.sourceTexture ?? source,
        weights,
        output: parts ?? output,
        residual: parts ? undefined : gather.inputs.residual,
      }),
    }),
    bindings: {
      ...(gather.sourceTexture ? { source_texture: gather.sourceTexture } : { source }),
      ...(weightsTexture ? { weights_texture: gather.weights } : { weights: gather.weights }),
      output: parts ?? output,
      ...(parts ? {} : ending.bindings),
      ...(gather.statistics && { statistics: gather.statistics }),
      ...(unscale && { unscale }),
    },
    uniforms: { ...uniforms, relu: parts ? 0 : uniforms.relu },
    workgroups: groups(workgroups, batches ?? step * step * splits),
    writes: gather.statistics ? ['output', 'statistics'] : ['output'],
    flops:
      2 *
      positions(dataGradient ? source : output) *
      kernelHeight *
      kernelWidth *
      dimension(source, 3) *
      outputChannels,
  };
  if (!parts) return [product];
  const sum: Dispatch = {
    kernel: {
      module: 'convolution_sum',
      entry: 'main',
      conditions: { ...ending.conditions, ...halves({ output, residual: gather.inputs.residual }) },
    },
    bindings: { source: parts, output, ...ending.bindings },
    uniforms,
    workgroups: threads(quads(output)),
    writes: ['output'],
  };
  return [product, sum];
}

/**
 * Rows that a kernel may divide by a float reciprocal (kernels/convolution.wesl, `row_quotient`):
 * (row + 0.5) / width lies 0.5 / width or more from a whole number. The roundings of the reciprocal and of
 * the product, 2^-24 of the quotient each, come to less below this row.
 */
export const reciprocalRows = 2 ** 22;

/** Quads that kernels which read blocks need a multiple of in a line. */
export const blockQuads = 4;

/** Quads of the weights that lie in a line: of the output's channels, or of k for data gradients. */
function weightLine({ source, output, dataGradient }: Gather): number {
  return channelQuads(dataGradient ? source : output);
}

/** How far the taps that reach a stride phase lie apart, and the places of the source that they read. */
function tapSteps({ stride, dilation }: ConvolutionAttributes, dataGradient: boolean) {
  if (!dataGradient) return { tap_step: 1, offset_step: dilation };
  const tapStep = stride / greatestCommonDivisor(stride, dilation);
  return { tap_step: tapStep, offset_step: -(dilation * tapStep) / stride };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

// A merge reads every tile's moments; where tiles are lower, or these many, a pass over the values themselves
// is no dearer.
const statisticsRows = 16;
const statisticsTiles = 4096;

/**
 * The rows of a tile of a forward convolution, and how many tiles its output has, where the kernel can sum up
 * each tile for the batch norm that follows; undefined where it cannot.
 */
export function statisticsChunks(
  gather: Gather,
): { readonly chunk: number; readonly chunks: number } | undefined {
  const { source, weightShape, attributes, context } = gather;
  const problem = gatherProblem(gather);
  const kernel = chooseMatrixKernel(problem, context);
  if (!kernel.statistics) return undefined;
  const [, kernelWidth] = weightShape as [number, number];
  const depth = attributes.dilation === 1 ? kernelWidth * channelQuads(source) : channelQuads(source);
  if (splitsOf(gather, kernel, problem, depth) > 1) return undefined;
  const chunk = kernel.tile.rows;
  const chunks = Math.ceil(problem.rows / chunk);
  return chunk >= statisticsRows && chunks <= statisticsTiles ? { chunk, chunks } : undefined;
}

/** Ranges of the sum, as one image needs them and a binding holds their parts. */
function splitsOf(
  { output, attributes, dataGradient, context }: Gather,
  kernel: MatrixKernel,
  problem: MatrixProblem,
  depth: number,
): number {
  if (kernel.ranges) return kernel.ranges;
  const step = dataGradient ? attributes.stride : 1;
  const { rows, columnQuads } = problem;
  const perImage = Math.ceil(rows / dimension(output, 0));
  const { workgroups } = matrixGrid(kernel.splitting ?? kernel, perImage, columnQuads);
  const most = Math.floor(context.target.maxStorageBufferBindingSize / (quads(output) * 16));
  return Math.max(
    1,
    Math.min(
      chooseSplits('convolution', workgroups * step * step, depth, context, { kernel, depth: problem.depth }),
      most,
    ),
  );
}
