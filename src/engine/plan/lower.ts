/** From operations to dispatches. */
import type { Target } from '../device/target.ts';
import type { Node } from '../graph/tape.ts';
import { operationOf, runsInParts } from '../ops/operation.ts';
import type { FusedTape } from '../passes/index.ts';
import { lowerInParts } from './parts.ts';
import type { PlannedNode } from './plan.ts';

/** Every operation with its dispatches. */
export function select(nodes: readonly Node[], target: Target): PlannedNode[] {
  return nodes.map((node) => ({
    node,
    dispatches: runsInParts(node, target)
      ? lowerInParts(node, target)
      : operationOf(node).lower(node, target),
  }));
}

/** What runs once, when a program is built, and what every run repeats. */
export function selectProgram(
  { prologue, nodes }: FusedTape,
  target: Target,
): { readonly prologue: PlannedNode[]; readonly main: PlannedNode[] } {
  return { prologue: select(prologue, { ...target, once: true }), main: select(nodes, target) };
}
