/**
 * Splits a program in two: the prologue, which computes what depends on fixed values alone (folded and packed
 * weights, unit keys) once per program, and what every run repeats.
 */
import type { Node } from '../graph/tape.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { PassContext } from './pass.ts';

export interface FusedTape {
  /** What runs once, and again after parameters were written. */
  readonly prologue: readonly Node[];
  /** What every run repeats. */
  readonly nodes: readonly Node[];
}

/** Nothing that the program reads is computed in the prologue: its memory would not be that of a run. */
export function split(nodes: readonly Node[], context: PassContext): FusedTape {
  const computed = new Set<Tensor>();
  const isFixed = (tensor: Tensor) => computed.has(tensor) || context.isFixed(tensor);
  const prologue: Node[] = [];
  const repeated: Node[] = [];
  for (const node of nodes) {
    const inputs = Object.values(node.inputs);
    const outputs = Object.values(node.outputs);
    const once =
      inputs.length > 0 &&
      outputs.length > 0 &&
      inputs.every(isFixed) &&
      !outputs.some((tensor) => context.read.has(tensor));
    if (once) for (const tensor of outputs) computed.add(tensor);
    (once ? prologue : repeated).push(node);
  }
  return { prologue, nodes: repeated };
}

/** Whether a tensor has the same values in every run, those that the prologue computes included. */
export function fixedValues(nodes: readonly Node[], context: PassContext): (tensor: Tensor) => boolean {
  const computed = new Set(split(nodes, context).prologue.flatMap((node) => Object.values(node.outputs)));
  return (tensor) => computed.has(tensor) || context.isFixed(tensor);
}
