/** Drops operations whose results nobody reads. */
import type { Node } from '../graph/tape.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Pass } from './pass.ts';

/** Whether a node does something beside computing its outputs. */
function hasEffect(node: Node): boolean {
  const { tensors = [], groups = [] } = node.definition.overwrites?.(node) ?? {};
  return tensors.length + groups.length > 0 || Object.keys(node.outputs).length === 0;
}

export const deadNodes: Pass = {
  name: 'dead_nodes',
  applies: () => true,
  run(nodes, context) {
    const read = new Set<Tensor>(context.read);
    const kept: Node[] = [];
    for (const node of [...nodes].reverse()) {
      if (!hasEffect(node) && !Object.values(node.outputs).some((tensor) => read.has(tensor))) continue;
      for (const tensor of Object.values(node.inputs)) read.add(tensor);
      kept.push(node);
    }
    return kept.reverse();
  },
};
