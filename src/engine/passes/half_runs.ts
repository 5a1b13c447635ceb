/**
 * Scales the weights of products that are summed up in 16 bits over short runs, so that no run can leave the
 * range of 16 bits; the products take the scale back. Others stay as they are: where a kernel sums up in 32
 * bits, an operand has 32, or weights change from run to run.
 */
import { type Node, need } from '../graph/tape.ts';
import type { Tensor } from '../graph/tensor.ts';
import { halfRunsDefinition } from '../ops/half_runs.ts';
import { fusionOf } from '../ops/operation.ts';
import type { Pass } from './pass.ts';
import { Rewriter } from './rewriter.ts';
import { fixedValues } from './split.ts';

/** The scaled weights have 16 bits as well: what is recorded has 32 until a pass chooses others. */
function inHalves(node: Node): Node {
  return { ...node, outputs: { ...node.outputs, w: { ...need(node.outputs, 'w'), half: true } } };
}

export const halfRuns: Pass = {
  name: 'half_runs',
  applies: ({ half, phase }) => half && phase === 'inference',
  run(nodes, context) {
    const rewriter = new Rewriter(nodes);
    const isFixed = fixedValues(nodes, context);
    const scaled = new Map<Tensor, Node>();
    for (const node of nodes) {
      const runs = fusionOf(node).halfRuns?.(node, context.lowering);
      const { w } = node.inputs;
      if (!runs || !w || !isFixed(w)) continue;
      const known = scaled.get(w);
      const made = known ?? inHalves(rewriter.record(halfRunsDefinition, { w }, runs));
      scaled.set(w, made);
      rewriter.replace(node, ...(known ? [] : [made]), {
        ...node,
        inputs: { ...node.inputs, w: need(made.outputs, 'w'), unscale: need(made.outputs, 'unscale') },
      });
    }
    return rewriter.nodes;
  },
};
