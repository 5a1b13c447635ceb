/**
 * The kernel families that leave a choice, and what a choice consists of. A family is a contract: every
 * candidate of it has the same bindings, uniforms and conditions, which the operation that dispatches it
 * gives. So a profile may name another kernel file, another entry point or another shape, and nothing else
 * changes.
 */
import type { KernelModule } from '../../../kernels/generated.ts';
import { workgroupSize } from '../../../kernels/sizes.ts';
import { groups, type KernelVariant } from '../dispatch.ts';
import type { Target } from './target.ts';

/** A kernel of a family, with what it is compiled with beside the operation's own conditions. */
export interface KernelCandidate {
  readonly module: KernelModule;
  /** The kernel file's entry point. */
  readonly entry: string;
  readonly constants?: Readonly<Record<string, number>>;
  readonly conditions?: Readonly<Record<string, boolean>>;
  /**
   * Lanes of a subgroup that the kernel is compiled for; only where the target has `subgroupSizeControl`. The
   * workgroup's size along x is a multiple of it. Absent, the driver chooses.
   */
  readonly subgroupSize?: number;
}

/** A kernel whose work is a number of items, each family's own kind: pixels, rows, quads of channels. */
export interface ItemKernel extends KernelCandidate {
  /** Items that a workgroup computes; infinite where one workgroup computes all. */
  readonly itemsPerWorkgroup: number;
}

/** A kernel that takes the largest values of each image. */
export interface TopkKernel extends KernelCandidate {
  /**
   * Values that a workgroup takes; of images that have more, another dispatch takes the largest of what their
   * workgroups leave. Infinite where a workgroup takes any number.
   */
  readonly valuesPerWorkgroup: number;
}

/** A kernel over the pixels of score maps. */
export interface MapKernel extends KernelCandidate {
  /** Workgroups for `batch` maps of `size` x `size` pixels. */
  grid(size: number, batch: number): readonly [number, number, number];
}

/** A kernel of the matrix families in one shape: plain data, so that tunings can be kept in files. */
export interface MatrixKernel extends KernelCandidate {
  /** Outputs of a tile: rows (weight gradients: quads of rows) and quads of columns. */
  readonly tile: { readonly rows: number; readonly columnQuads: number };
  /** Tiles that a workgroup computes, numbered along the columns first. */
  readonly tilesPerWorkgroup: number;
  /** Threads of a workgroup, where a choice depends on them. */
  readonly threads?: number;
  /** Quads of the sum's innermost loop that the kernel takes at once: ranges of split sums are multiples. */
  readonly step: number;
  /** Tiles by which the ranges of split sums are counted, where they are not its own. */
  readonly splitting?: Pick<MatrixKernel, 'tile' | 'tilesPerWorkgroup'>;
  /** Ranges that its sums are cut into whatever the grid; 1: none. */
  readonly ranges?: number;
  /** Whether it can leave the moments of each tile's columns for a batch norm (condition `statistics`). */
  readonly statistics: boolean;
  /** Width of the operands that it needs, where it cannot take both. */
  readonly operands?: 'f16' | 'f32';
  /** It reads blocks of quads at once where the lines of an operand consist of them (condition `blocks`). */
  readonly blocks?: boolean;
}

export type MatrixFamilyName = 'convolution' | 'weight_gradient';

/** The size of a matrix product: what its kernel is chosen by. */
export interface MatrixProblem {
  readonly family: MatrixFamilyName;
  /** Rows of the product; for weight gradients rows, not quads of them. */
  readonly rows: number;
  /** Those of one image, where the order of a result's sum must not go by the batch; absent: all. */
  readonly imageRows?: number;
  readonly columnQuads: number;
  /** Steps of the sum. */
  readonly depth: number;
  /** Both operands are 16-bit floats. */
  readonly half?: boolean;
  /**
   * Their weights are fixed, and scaled so that short runs can be summed up in 16 bits (`half_runs`), where
   * the kernel does that.
   */
  readonly halfRuns?: boolean;
  /** One of many independent products of this size (Winograd's form). */
  readonly batched?: boolean;
  /** Of convolutions: it reads the weights transposed. */
  readonly dataGradient?: boolean;
}

/** What else decides about a matrix product: how this program's operands lie. */
export interface MatrixSetting {
  /** Matrix kernels of this program read their operands from storage textures. */
  readonly textures: boolean;
}

/** A product whose kernel is chosen. */
export interface ChosenProduct {
  readonly kernel: MatrixKernel;
  /** Steps of the sum in all. */
  readonly depth: number;
}

export interface MatrixFamily {
  /** Every kernel for 32-bit operands that is valid on a target: what tests check and the tuner times. */
  candidates(target: Target): readonly MatrixKernel[];
  /** The table: the kernel for a product. */
  choose(problem: MatrixProblem, target: Target, setting: MatrixSetting): MatrixKernel;
  /**
   * Ranges that a sum is cut into where its tiles alone would leave the device idle.
   *
   * @param workgroups without a cut; for convolutions those of one image, so that a result does not depend on
   *   the batch that it was computed in
   * @param length what is cut: quads of the innermost loop (convolutions), lines of pixels (weight gradients)
   * @param product what else decides
   */
  splits(workgroups: number, length: number, target: Target, product: ChosenProduct): number;
}

/** Outputs per tile and side of Winograd's form. */
export type WinogradTile = 2 | 4;

/** A 3x3 convolution of stride 1 with fixed weights, per image of its batch. */
export interface WinogradProblem {
  readonly height: number;
  readonly width: number;
  readonly inputChannels: number;
  readonly outputChannels: number;
  /** The program is opened for a few runs: time and memory of its start count (`Tape.compact`). */
  readonly compact: boolean;
}

export interface WinogradFamily {
  /** Tiles that pay for the transforms, the best first; none: the direct form is faster. */
  tiles(problem: WinogradProblem, target: Target, setting: MatrixSetting): readonly WinogradTile[];
  /** The kernel file with the transforms of a tile. */
  module(tile: WinogradTile, target: Target): KernelModule;
}

/** The choice of a kernel by the size of its work. */
export type Choice<Problem> = (problem: Problem, target: Target) => ItemKernel;

/** Rows of channels: pixels with their channels. */
export interface RowsProblem {
  readonly rows: number;
  /** Rows of one image of the batch: a choice by them gives the same bits in every batch. */
  readonly rowsPerImage: number;
  readonly channelQuads: number;
}

/** Rows of channels, and the quads of their products with the keys. */
export interface MatchingProblem extends RowsProblem {
  readonly keyQuads: number;
}

/** Maps of the detector: their side in pixels, and the values in a row of all levels together. */
export interface MapProblem {
  readonly size: number;
  readonly levels: number;
}

/** Windows of a pooling. */
export interface PoolProblem {
  /** The side of a window, in pixels. */
  readonly kernel: number;
  readonly stride: number;
}

/** The k largest of each image's values. */
export interface TopkProblem {
  /** Values of an image. */
  readonly count: number;
  readonly k: number;
}

/** Sums per channel in chunks of pixels. */
export interface ChunksProblem {
  readonly chunks: number;
  readonly channelQuads: number;
}

/** Weights that are packed for a texture: columns of quads, of all rows of taps, and the rows of each. */
export interface PackProblem {
  readonly columns: number;
  readonly rows: number;
}

/** A kernel with a thread for so many rows of a column. */
export interface PackKernel extends KernelCandidate {
  readonly rowsPerThread: number;
}

export interface KernelFamilies {
  readonly convolution: MatrixFamily;
  readonly weight_gradient: MatrixFamily;
  readonly winograd: WinogradFamily;
  /** Sums over the pixels, per channel. */
  readonly channelSums: {
    /** Pixels of a chunk, which one thread or workgroup sums up. */
    chunk(pixels: number, channelQuads: number, target: Target): number;
    /** Items: chunks times channel quads. */
    readonly sum: Choice<ChunksProblem>;
  };
  readonly batchNorm: {
    /** Pixels of a chunk of the statistics and of the gradient's sums. */
    chunk(pixels: number, channelQuads: number, target: Target): number;
    /** Items: chunks times channel quads. */
    readonly statistics: Choice<ChunksProblem>;
    /** Items: channel quads. */
    readonly merge: Choice<ChunksProblem>;
    /** Items: pixels times channel quads. */
    readonly apply: Choice<RowsProblem>;
    /** Items: chunks times channel quads. */
    readonly gradientSums: Choice<ChunksProblem>;
    /** Items: channel quads. */
    readonly mergeGradient: Choice<ChunksProblem>;
    /** Items: pixels times channel quads. */
    readonly applyGradient: Choice<RowsProblem>;
  };
  /** Items: rows. */
  readonly normalize: { readonly forward: Choice<RowsProblem>; readonly gradient: Choice<RowsProblem> };
  /** Items: positions; for `flatten` images, for `gradient` quads. */
  readonly cosineDistance: {
    readonly positions: Choice<RowsProblem>;
    readonly flatten: Choice<RowsProblem>;
    readonly gradient: Choice<RowsProblem>;
  };
  /** Softmax over the keys, and the gated residual. Items: positions; for `residualForward` quads. */
  readonly gate: {
    readonly forward: Choice<RowsProblem>;
    /** From rows that are not of unit length: for profiles with the rewrite `rowLengths`. */
    readonly matching: Choice<MatchingProblem>;
    readonly gradient: Choice<RowsProblem>;
    readonly residualForward: Choice<RowsProblem>;
    readonly residualGradient: Choice<RowsProblem>;
  };
  /** Items: rows of scores. */
  readonly pairwiseHinge: {
    readonly activate: Choice<RowsProblem>;
    readonly finish: Choice<{ readonly count: number }>;
  };
  readonly scoreMap: {
    /** Items: positions of all levels; the channels are those of the finest one. */
    readonly distances: Choice<RowsProblem>;
    rows(problem: MapProblem, target: Target): MapKernel;
    columns(problem: MapProblem, target: Target): MapKernel;
  };
  /** Items: quads of the result, or of the gradient. */
  readonly maxPool: { readonly forward: Choice<PoolProblem>; readonly gradient: Choice<PoolProblem> };
  /** Means over all pixels of an image. Items: quads of the result. */
  readonly averagePool: Choice<RowsProblem>;
  /** Copies of weights into the order of their texture. */
  readonly pack: (problem: PackProblem, target: Target) => PackKernel;
  readonly topk: (problem: TopkProblem, target: Target) => TopkKernel;
  /** Items: positions. Several workgroups leave parts, which the entry point `finish` adds up. */
  readonly focalLoss: Choice<{ readonly count: number }>;
  /**
   * Sums of a whole tensor. Items: its values, or quads of them for `squareError`. What several workgroups
   * leave is added up by `mean`, whose one workgroup takes at least as many values.
   */
  readonly sums: {
    readonly mean: Choice<{ readonly count: number }>;
    readonly squareError: Choice<{ readonly count: number }>;
    /** Partial results added in fixed order. Items: quads of the result. */
    readonly partials: Choice<{ readonly splits: number; readonly quads: number }>;
  };
}

/** A kernel with one thread for each item. */
export function itemPerThread(module: KernelModule, entry: string): ItemKernel {
  return { module, entry, itemsPerWorkgroup: workgroupSize };
}

/** A kernel with one workgroup for each item. */
export function itemPerWorkgroup(module: KernelModule, entry: string): ItemKernel {
  return { module, entry, itemsPerWorkgroup: 1 };
}

/** A kernel that one workgroup runs for all items. */
export function oneWorkgroup(module: KernelModule, entry: string): ItemKernel {
  return { module, entry, itemsPerWorkgroup: Number.POSITIVE_INFINITY };
}

/** Workgroups of a kernel for a number of items. */
export function workgroupsFor({ itemsPerWorkgroup }: ItemKernel, items: number): [number, number, number] {
  return groups(Math.ceil(items / itemsPerWorkgroup));
}

/** Whether a kernel multiplies in 16 bits, and sums up short runs so. */
export function sumsHalfRuns({ conditions }: MatrixKernel): boolean {
  return conditions?.half_runs ?? false;
}

/** The variant to dispatch: the candidate's kernel with the operation's conditions. */
export function variantOf(
  { module, entry, constants, conditions, subgroupSize }: KernelCandidate,
  own: Readonly<Record<string, boolean>> = {},
): KernelVariant {
  return {
    module,
    entry,
    conditions: { ...own, ...conditions },
    ...(constants && { constants }),
    ...(subgroupSize && { subgroupSize }),
  };
}

/** The grid of a matrix kernel: tiles side by side, and workgroups for all of them. */
export function matrixGrid(
  { tile, tilesPerWorkgroup }: Pick<MatrixKernel, 'tile' | 'tilesPerWorkgroup'>,
  rows: number,
  columnQuads: number,
): { readonly columnTiles: number; readonly workgroups: number } {
  const columnTiles = Math.ceil(columnQuads / tile.columnQuads);
  return {
    columnTiles,
    workgroups: Math.ceil((Math.ceil(rows / tile.rows) * columnTiles) / tilesPerWorkgroup),
  };
}

/** One line for a person: the kernel file, its constants and the conditions that are on. */
export function describeKernel(kernel: KernelCandidate): string {
  const { module, constants = {}, conditions = {}, subgroupSize } = kernel;
  return [
    module,
    ...Object.entries(constants).map(([name, value]) => `${name.toLowerCase()} ${value}`),
    ...Object.keys(conditions).filter((name) => conditions[name]),
    ...(subgroupSize ? [`subgroups of ${subgroupSize}`] : []),
  ].join(' ');
}
