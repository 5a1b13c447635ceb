/** From operations to dispatches. */
import type { LoweringContext } from '../device/context.ts';
import type { Node } from '../graph/tape.ts';
import { operationOf, runsInParts } from '../ops/operation.ts';
import type { FusedTape } from '../passes/index.ts';
import { lowerInParts } from './parts.ts';
import type { PlannedNode } from './plan.ts';

/** Every operation with its dispatches. */
export function select(nodes: readonly Node[], context: LoweringContext): PlannedNode[] {
  return nodes.map((node) => ({
    node,
    dispatches: runsInParts(node, context.target)
      ? lowerInParts(node, context)
      : operationOf(node).lower(node, context),
  }));
}

/** What runs once, when a program is built, and what every run repeats. */
export function selectProgram(
  { prologue, nodes }: FusedTape,
  context: LoweringContext,
): { readonly prologue: PlannedNode[]; readonly main: PlannedNode[] } {
  return { prologue: select(prologue, { ...context, phase: 'prologue' }), main: select(nodes, context) };
}
