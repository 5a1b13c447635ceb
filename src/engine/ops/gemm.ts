/**
 * The dispatch of a gathering matrix product: convolution forward, data gradient, 1x1, transposed, and the
 * batched products of Winograd. One kernel family (conv2d_lane, conv2d_tile) serves them all.
 */
import { chooseGemm, chooseSplits } from '../device/matrix_products.ts';
import type { GemmConfiguration, GemmProblem, Target } from '../device/target.ts';
import { type Dispatch, groups, threads } from '../dispatch.ts';
import type { Tensors } from '../graph/tape.ts';
import { channelQuads, positions, quads, roundUp, type Tensor, type View } from '../graph/tensor.ts';
import type { TextureOperand } from './fusion.ts';
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
  readonly target: Target;
  /** Where every tile of rows leaves the moments of its columns ({@link statisticsChunks}). */
  readonly statistics?: Tensor | undefined;
  /** Number of independent 1x1 products: image b of the source with tap b of the weights. */
  readonly batches?: number;
}

/** The size of a gathering product: one stride phase of it, for data gradients. */
export function gatherProblem(
  { source, output, weightShape, attributes, dataGradient }: Omit<Gather, 'weights' | 'inputs' | 'target'>,
  batched = false,
  half = false,
): GemmProblem {
  const [batch, height, width] = output.shape as [number, number, number];
  const step = dataGradient ? attributes.stride : 1;
  const [kernelHeight, kernelWidth] = weightShape as [number, number];
  return {
    family: 'convolution',
    rows: (batched ? 1 : batch) * Math.ceil(height / step) * Math.ceil(width / step),
    columnQuads: channelQuads(output),
    depth: Math.ceil((kernelHeight * kernelWidth) / step ** 2) * channelQuads(source),
    half,
  };
}

/** The dispatches of a gathering convolution; also used by operations that need a matrix product. */
export function gatherDispatches(gather: Gather): Dispatch[] {
  const { source, output, attributes, dataGradient, target, batches } = gather;
  const [, height, width, outputChannels] = output.shape as [number, number, number, number];
  const { stride, padding, dilation } = attributes;
  const step = dataGradient ? stride : 1;
  const rowHeight = Math.ceil(height / step);
  const rowWidth = Math.ceil(width / step);
  const weights = 'layout' in gather.weights ? gather.weights : gather.weights.tensor;
  const half = (gather.sourceTexture ?? source).half && weights.half;
  const problem = gatherProblem(gather, batches !== undefined, half);
  const { rows, columnQuads: outputQuads } = problem;
  const choice = chooseGemm(problem, target, batches !== undefined);
  const { grid, columnTiles, module, constants } = gemmGrid(choice, 'conv2d', rows, outputQuads);
  const ending = epilogue(gather.inputs);
  const [kernelHeight, kernelWidth] = gather.weightShape as [number, number];
  const oneRun = !dataGradient && dilation === 1;
  const weightsTexture = weights.layout === 'texture';
  const depth = oneRun ? kernelWidth * channelQuads(source) : channelQuads(source);
  const splits = batches === undefined ? splitsOf(gather, choice, problem, depth) : 1;
  // Ranges begin at whole steps of the tile kernels.
  const splitDepth = roundUp(Math.ceil(depth / splits), 4);
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
    ...ending.uniforms,
  };
  const product: Dispatch = {
    kernel: {
      module,
      entry: 'main',
      conditions: {
        ...(parts ? {} : ending.conditions),
        statistics: gather.statistics !== undefined,
        data_gradient: dataGradient,
        subgroups: choice.shape === 'lane' && choice.subgroup > 1,
        matrix_half: choice.unit?.component === 'f16',
        emulated: choice.unit?.emulated ?? false,
        batched: batches !== undefined,
        split: parts !== undefined,
        source_texture: gather.sourceTexture !== undefined,
        weights_texture: weightsTexture,
        ...halves({
          source: gather.sourceTexture ?? source,
          weights,
          output: parts ?? output,
          residual: parts ? undefined : gather.inputs.residual,
        }),
      },
      constants,
    },
    bindings: {
      ...(gather.sourceTexture ? { source_texture: gather.sourceTexture } : { source }),
      ...(weightsTexture ? { weights_texture: gather.weights } : { weights: gather.weights }),
      output: parts ?? output,
      ...(parts ? {} : ending.bindings),
      ...(gather.statistics && { statistics: gather.statistics }),
    },
    uniforms: { ...uniforms, relu: parts ? 0 : uniforms.relu },
    workgroups: groups(grid, batches ?? step * step * splits),
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
  const { source, weightShape, attributes, target } = gather;
  const problem = gatherProblem(gather);
  const choice = chooseGemm(problem, target);
  if (choice.unit) return undefined;
  const [, kernelWidth] = weightShape as [number, number];
  const depth = attributes.dilation === 1 ? kernelWidth * channelQuads(source) : channelQuads(source);
  if (splitsOf(gather, choice, problem, depth) > 1) return undefined;
  const chunk = choice.shape === 'lane' ? choice.rows : 8 * choice.rows;
  const chunks = Math.ceil(problem.rows / chunk);
  return chunk >= statisticsRows && chunks <= statisticsTiles ? { chunk, chunks } : undefined;
}

/** Ranges of the sum, as one image needs them and a binding holds their parts. */
function splitsOf(
  { output, attributes, dataGradient, target }: Gather,
  choice: GemmConfiguration,
  { rows, columnQuads }: GemmProblem,
  depth: number,
): number {
  const step = dataGradient ? attributes.stride : 1;
  const { grid } = gemmGrid(choice, 'conv2d', Math.ceil(rows / dimension(output, 0)), columnQuads);
  const most = Math.floor(target.maxStorageBufferBindingSize / (quads(output) * 16));
  return Math.max(1, Math.min(chooseSplits(grid * step * step, depth, target), most));
}

/** Kernel module, constants and grid of a configuration. */
export function gemmGrid(
  choice: GemmConfiguration,
  family: 'conv2d' | 'weight_gradient',
  rows: number,
  columnQuads: number,
) {
  if (choice.shape === 'lane') {
    const columnTiles = Math.ceil(columnQuads / (choice.subgroup * choice.columns));
    return {
      module: `${family}_lane` as const,
      constants: {
        SUBGROUP: choice.subgroup,
        SUBGROUPS: choice.subgroups,
        ROWS: choice.rows,
        COLUMNS: choice.columns,
      },
      columnTiles,
      grid: Math.ceil((Math.ceil(rows / choice.rows) * columnTiles) / choice.subgroups),
    };
  }
  if (choice.unit) {
    const { subgroup: SUBGROUP, subgroups: SUBGROUPS, depth: DEPTH, unit } = choice;
    // Subgroups stand two by two, or more of them side by side.
    const columnTiles = Math.ceil(columnQuads / ((SUBGROUPS / 2) * choice.columns));
    return {
      module: 'conv2d_matrix' as const,
      constants: {
        SUBGROUP,
        SUBGROUPS,
        DEPTH,
        MATRIX_ROWS: unit.rows,
        MATRIX_COLUMNS: unit.columns,
        MATRIX_DEPTH: unit.depth,
      },
      columnTiles,
      grid: Math.ceil(rows / (2 * choice.rows)) * columnTiles,
    };
  }
  const columnTiles = Math.ceil(columnQuads / (8 * choice.columns));
  return {
    module: `${family}_tile` as const,
    constants: { ROWS: choice.rows, COLUMNS: choice.columns, DEPTH: choice.depth },
    columnTiles,
    grid: Math.ceil(rows / (8 * choice.rows)) * columnTiles,
  };
}
