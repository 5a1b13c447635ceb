/** A plan: the operations of a program with their dispatches, in order of execution. */
import { type Dispatch, variantKey } from '../dispatch.ts';
import type { Node } from '../graph/tape.ts';

/** An operation with its dispatches. */
export interface PlannedNode {
  readonly node: Node;
  readonly dispatches: readonly Dispatch[];
}

function printKernel({ kernel, workgroups }: Dispatch): string {
  return kernel === 'copy' ? 'copy' : `${variantKey(kernel)} <${workgroups}>`;
}

/** One line per dispatch. */
export function printPlan(plan: readonly PlannedNode[]): string {
  return plan
    .flatMap(({ node, dispatches }) =>
      dispatches.map((dispatch) => `${node.definition.name}: ${printKernel(dispatch)}`),
    )
    .join('\n');
}

/** The dispatches of a plan, in their order. */
export function dispatchesOf(plan: readonly PlannedNode[]): Dispatch[] {
  return plan.flatMap(({ dispatches }) => dispatches);
}
