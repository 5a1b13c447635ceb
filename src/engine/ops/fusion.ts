/**
 * What an operation says about how it combines with others. The passes read nothing else: a new operation
 * joins a fusion by declaring it, and no pass names an operation.
 *
 * Operations that are fused share a few names: `y` is the result, `w` the weights, `b` the bias, `residual`
 * and `gate` the other operands of an epilogue, and the attribute `relu` ends it.
 */
import type { LoweringContext } from '../device/context.ts';
import type { Attributes, Node, OpDefinition } from '../graph/tape.ts';
import type { Tensor } from '../graph/tensor.ts';

/** Makes a node that stands in no list yet, with new tensors as its outputs. */
export type RecordNode = <A extends Attributes>(
  definition: OpDefinition<A>,
  inputs: Readonly<Record<string, Tensor | undefined>>,
  attributes: A,
) => Node;

/**
 * What an epilogue does with a product p: relu?(p + residual), or with a gate
 * relu?(residual * (1 + gate * tanh(p))).
 */
export interface EpilogueStep {
  /** Of the product's shape. */
  readonly residual?: Tensor | undefined;
  /** A value per pixel; only with a residual. */
  readonly gate?: Tensor | undefined;
  /** Ends with max(., 0). */
  readonly relu?: boolean;
}

/** The dimension of weights [..., rows, columns] that holds the output channels. */
export type OutputChannels = 'rows' | 'columns';

/** A scale and a shift per channel that fixed parameters decide, as an operation on weights. */
export interface ChannelScaling {
  /** The operand that is scaled: the result of the product whose weights take the scale. */
  readonly of: Tensor;
  /** What scale and shift are computed from: they can be folded where all of these are fixed. */
  readonly parameters: readonly Tensor[];
  /** Outputs that do not exist any more after the folding: nothing may read them. */
  readonly lost: readonly Tensor[];
  /** What the operation does after it has scaled. */
  readonly epilogue: EpilogueStep;
  /** Records the operation that computes the folded weights `w` and the folded bias `b`. */
  fold(record: RecordNode, w: Tensor, b: Tensor | undefined, outputChannels: OutputChannels): Node;
}

/** Weights that an operation only multiplies by a scale per output channel. */
export interface ScaledWeights {
  /** Its output: the weights times the scale. */
  readonly scaled: Tensor;
  /** Its input: the weights as they were. */
  readonly unscaled: Tensor;
  /** [Co]. */
  readonly scale: Tensor;
  /** Whether output channels are the rows of the weights. */
  readonly transposed: boolean;
}

/** Rows that an operation scales to unit length. */
export interface UnitRows {
  /** Its input: the rows as they were. */
  readonly of: Tensor;
  /** The least that a length counts. */
  readonly epsilon: number;
  /** Outputs that do not exist any more without the operation: nothing may read them. */
  readonly lost: readonly Tensor[];
}

/** Where a kernel leaves the moments (mean and squared deviations) of its result. */
export interface TileMoments {
  /** Rows of a tile: the moments are those of a tile and a channel. */
  readonly chunk: number;
  /** Of the tensor that holds them. */
  readonly shape: readonly number[];
}

/** An input that kernels may read from a storage texture, given to them as NAME_texture. */
export interface TextureOperand {
  /** The input's name. */
  readonly input: string;
  /** Weights: small beside activations and slow to pack, so that one texture serves the whole program. */
  readonly isWeights: boolean;
}

/** Along which of its weights a product has short runs. */
export type HalfRuns = {
  /** Output channels are the rows of the weights. */
  readonly transposed: boolean;
  /** The taps of a row of the kernel follow each other in one line. */
  readonly oneRun: boolean;
};

/** A tensor whose values are added up, times a weight. */
export interface Total {
  /** Dense. */
  readonly values: Tensor;
  readonly weight: number;
}

/** Members are absent where an operation does not take part. */
export interface Fusion<A extends Attributes = Attributes> {
  /** It can end with an epilogue: inputs `residual` and `gate`, attribute `relu`, result `y`. */
  readonly epilogue?: true;
  /**
   * What it is as a step of the epilogue of the operation that computes `operand`; undefined where it is
   * none. Its result is `y`.
   */
  asEpilogue?(node: Node<A>, operand: Tensor): EpilogueStep | undefined;

  /** It multiplies `x` by weights `w` and adds a bias `b`; says where in `w` the output channels are. */
  readonly weights?: OutputChannels;
  /** What it is as a scale per channel; undefined where it is none. Its result is `y`. */
  asChannelScaling?(node: Node<A>): ChannelScaling | undefined;
  /**
   * The weights that it scales. With its attribute `scaledByReaders` it leaves that to those that read them,
   * and `scaled` only names the shape.
   */
  scaledWeights?(node: Node<A>): ScaledWeights;
  /** The weights that it can multiply by an input `scale` as it reads them; attribute `transposed`. */
  readonly scales?: string;

  /**
   * How its kernel adds up 16-bit products `x` by `w` in 16 bits, over short runs of the weights; undefined
   * where it sums up in 32 bits. It then takes weights scaled for that, and as its input `unscale` by what.
   */
  halfRuns?(node: Node<A>, context: LoweringContext): HalfRuns | undefined;

  /** It is linear in `x` apart from bias and epilogue, and gives every image of a batch the same. */
  readonly linear?: true;
  /** The two operands whose sum it is; `addend` may be of one image. */
  asSum?(node: Node<A>): { readonly value: Tensor; readonly addend: Tensor };

  /** The operand whose rows it scales to unit length, where it does that. Its result is `y`. */
  asUnitRows?(node: Node<A>): UnitRows | undefined;
  /** Whether each row of its result is a product of that row of `x` with `w`, and nothing else. */
  keepsRows?(node: Node<A>): boolean;
  /**
   * The operand whose rows it can divide by the lengths of other rows: it then has these as its input `rows`,
   * and the least that a length counts as its attribute `epsilon`.
   */
  dividesRowsOf?(node: Node<A>): Tensor | undefined;

  /** Its scalar result `y` as a sum of totals. */
  asTotals?(node: Node<A>): readonly Total[];
  /** Makes an operation that adds up these totals, at most seven of them, in its place. Its result is `y`. */
  addTotals?(record: RecordNode, totals: readonly Total[]): Node;

  /** Whether Winograd's form computes it: 3x3 weights, stride 1, no dilation. */
  hasWinogradForm?(node: Node<A>): boolean;

  /** The moments that its kernel can leave in an output `statistics`; undefined where it cannot. */
  tileMoments?(node: Node<A>, context: LoweringContext): TileMoments | undefined;
  /** The operand whose moments it can take from an input `statistics` (attribute `chunk`), if any. */
  takesMomentsOf?(node: Node<A>): Tensor | undefined;

  /** What its kernels may read from storage textures. */
  readonly textures?: readonly TextureOperand[];
}
