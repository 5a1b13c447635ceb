/**
 * An operation with its kernels: what the tape knows of it ({@link OpDefinition}), and the dispatches that
 * compute it. Whoever adds one writes one file in this folder.
 */
import type { LoweringContext } from '../device/context.ts';
import type { MatrixProblem } from '../device/families.ts';
import type { Target } from '../device/target.ts';
import type { Binding, Dispatch } from '../dispatch.ts';
import type { Attributes, Node, OpDefinition } from '../graph/tape.ts';
import { byteLength, type Tensor } from '../graph/tensor.ts';
import type { Fusion } from './fusion.ts';

/**
 * An operation with its kernels. Recorded by `Tape.record`, it works in inference, in training (with a
 * `backward`) and in the debug run.
 */
export interface Operation<A extends Attributes = Attributes> extends OpDefinition<A> {
  /** What it does over the images of a batch; absent: its tensors must fit a binding whole. */
  readonly batch?: BatchOperands<A>;
  /** How it combines with other operations; absent: it does not. */
  readonly fusion?: Fusion<A>;
  /** The matrix product that it is, for the tuner; absent: none. */
  matrixProduct?(node: Node<A>): MatrixProblem;
  /** The dispatches that compute it on this device, each with its kernel, bindings and cost in FLOPs. */
  lower(node: Node<A>, context: LoweringContext): Dispatch[];
}

/**
 * `map`: an image of every output depends on that image of the inputs alone. `sum`: outputs are sums over the
 * images. `phases`: neither, so the operation itself says what runs per range of images and what once.
 * Operands with an entry per image, by name; one with a single image serves all.
 */
export type BatchOperands<A extends Attributes = Attributes> =
  | { readonly does: 'map' | 'sum'; readonly operands: readonly string[] }
  | {
      readonly does: 'phases';
      readonly operands: readonly string[];
      /** The dispatches over all ranges: partial results per range, then what joins them. */
      lower(node: Node<A>, ranges: readonly BatchRange[], context: LoweringContext): Dispatch[];
    };

/** A range of the images of a batch. */
export interface BatchRange {
  /** Number of the first image. */
  readonly first: number;
  /** How many images. */
  readonly images: number;
  /** Of the batch, 0 to 1: what its dispatches count of the operation's FLOPs. */
  readonly share: number;
  /** That range of an operand. */
  of(operand: Tensor): Binding;
}

/** The range of a batch that fits whole. */
export function wholeBatch(operand: Tensor): BatchRange {
  return { first: 0, images: operand.shape[0] as number, share: 1, of: (tensor) => tensor };
}

/**
 * The operation that a node records.
 *
 * @throws Error naming it, where it has no kernels
 */
export function operationOf(node: Node): Operation {
  const { definition } = node;
  if (!isOperation(definition))
    throw new Error(`operation '${definition.name}' has no kernels: it has no lower`);
  return definition;
}

/** How a node combines with others. */
export function fusionOf({ definition }: Node): Fusion {
  return isOperation(definition) ? (definition.fusion ?? {}) : {};
}

/** The matrix product that a node is, if it is one. */
export function productOf(node: Node): MatrixProblem | undefined {
  return isOperation(node.definition) ? node.definition.matrixProduct?.(node) : undefined;
}

function isOperation(definition: OpDefinition): definition is Operation {
  return 'lower' in definition;
}

function tensorsOf(node: Node): Tensor[] {
  return [...Object.values(node.inputs), ...Object.values(node.outputs)];
}

/** Whether a node has to run in parts: it can, and one of its tensors is larger than a binding may be. */
export function runsInParts(node: Node, target: Target): boolean {
  const limit = target.maxStorageBufferBindingSize;
  return (
    operationOf(node).batch !== undefined && tensorsOf(node).some((tensor) => byteLength(tensor) > limit)
  );
}
