/**
 * A weighted sum takes in the means and the weighted sums that it alone reads: the scalars of a loss are then
 * one dispatch instead of one each. Means of many values stay, for they need many workgroups.
 */
import type { Node } from '../graph/tape.ts';
import { need } from '../graph/tape.ts';
import { elements } from '../graph/tensor.ts';
import type { Total } from '../ops/fusion.ts';
import { fusionOf } from '../ops/operation.ts';
import type { Pass } from './pass.ts';
import { Rewriter } from './rewriter.ts';

/** Tensors that a kernel may read beside the one that it writes, by WebGPU's default limits. */
const mostTotals = 7;

/** Values of a tensor that one workgroup adds up without being what a run waits for. */
const mostValues = 1024;

const isSmall = ({ values }: Total): boolean => elements(values.shape) <= mostValues;

export const totals: Pass = {
  name: 'totals',
  applies: ({ rewrites }) => rewrites.totals,
  run(nodes, context) {
    const rewriter = new Rewriter(nodes);
    for (const sum of rewriter) {
      const { asTotals, addTotals } = fusionOf(sum);
      if (!asTotals || !addTotals) continue;
      const terms = [...asTotals(sum)];
      const taken = new Set<Node>();
      for (let i = 0; i < terms.length; ) {
        const { values, weight } = terms[i] as Total;
        const part = rewriter.producer(values);
        const own = (part && fusionOf(part).asTotals?.(part)) ?? [];
        const joins =
          own.length > 0 &&
          own.every(isSmall) &&
          terms.length - 1 + own.length <= mostTotals &&
          rewriter.onlyReader(values, context) === sum;
        if (!joins) {
          i++;
          continue;
        }
        taken.add(part as Node);
        terms.splice(i, 1, ...own.map((total) => ({ ...total, weight: weight * total.weight })));
      }
      if (!taken.size) continue;
      for (const node of taken) rewriter.replace(node);
      const joined = addTotals(
        (definition, inputs, attributes) => rewriter.record(definition, inputs, attributes),
        terms,
      );
      rewriter.replace(sum, { ...joined, outputs: { y: need(sum.outputs, 'y') } });
    }
    return rewriter.nodes;
  },
};
