/** What a pass is, and what it may ask about the tape beyond its nodes. */
import { type LoweringContext, rewritesOf } from '../device/context.ts';
import type { Rewrites } from '../device/profile.ts';
import type { Node, Tape } from '../graph/tape.ts';
import type { Tensor } from '../graph/tensor.ts';

/** Facts of one fusion. No pass changes them. */
export interface PassContext {
  /**
   * Tensors that something beside the nodes reads: the program's outputs, and gradients for the optimiser.
   */
  readonly read: ReadonlySet<Tensor>;
  /** The device that the program is for, and who chooses for it. */
  readonly lowering: LoweringContext;
  /** Rewrites that pay on that device. */
  readonly rewrites: Rewrites;
  /** `training`, where the tape overwrites parameters. */
  readonly phase: 'training' | 'inference';
  /** Whether the program rather takes little memory and starts soon than runs as fast as it can. */
  readonly compact: boolean;
  /** Whether weights are 16-bit floats. */
  readonly half: boolean;
  /**
   * Whether a tensor has the same values in every run: a constant, or a parameter that nothing overwrites.
   */
  isFixed(tensor: Tensor): boolean;
}

/** A pure function from nodes to nodes: it changes neither the nodes that it gets nor the tape. */
export interface Pass {
  readonly name: string;
  /** Whether the pass has anything to do with such a tape on such a device. */
  applies(context: PassContext): boolean;
  run(nodes: readonly Node[], context: PassContext): Node[];
}

/** @param outputs tensors that the program reads */
export function passContext(tape: Tape, outputs: readonly Tensor[], lowering: LoweringContext): PassContext {
  const tensors = new Set<Tensor>();
  const groups = new Set<string>();
  for (const node of tape.nodes) {
    const overwritten = node.definition.overwrites?.(node);
    for (const tensor of overwritten?.tensors ?? []) tensors.add(tensor);
    for (const group of overwritten?.groups ?? []) groups.add(group);
  }
  return {
    read: new Set([...outputs, ...tape.parameterGradients.values()]),
    lowering,
    rewrites: rewritesOf(lowering),
    phase: tensors.size + groups.size > 0 ? 'training' : 'inference',
    compact: tape.compact,
    half: tape.parameters.half,
    isFixed: (tensor) =>
      tensor.role === 'constant' ||
      (tensor.role === 'parameter' &&
        !tensors.has(tensor) &&
        !groups.has(tape.parameters.spec(tensor.name).group)),
  };
}
