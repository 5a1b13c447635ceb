/**
 * Batch norms in training take the moments of their operand from the convolution before, whose kernel has
 * every value in its registers. That spares a pass over the convolution's output.
 */
import { fusionOf, runsInParts } from '../ops/operation.ts';
import type { Pass } from './pass.ts';
import { Rewriter } from './rewriter.ts';

export const statistics: Pass = {
  name: 'statistics',
  applies: ({ rewrites }) => rewrites.statistics && !rewrites.textures,
  run(nodes, { lowering }) {
    const rewriter = new Rewriter(nodes);
    for (const norm of rewriter) {
      const operand = fusionOf(norm).takesMomentsOf?.(norm);
      const product = operand && rewriter.producer(operand);
      // The moments of one product serve one norm.
      if (!product || product.outputs.statistics) continue;
      if (runsInParts(product, lowering.target) || runsInParts(norm, lowering.target)) continue;
      const moments = fusionOf(product).tileMoments?.(product, lowering);
      if (!moments) continue;
      const { shape, chunk } = moments;
      const tensor = rewriter.tensor(`${product.definition.name}.statistics`, { shape, layout: 'dense' });
      rewriter.replace(product, { ...product, outputs: { ...product.outputs, statistics: tensor } });
      rewriter.replace(norm, {
        ...norm,
        inputs: { ...norm.inputs, statistics: tensor },
        attributes: { ...norm.attributes, chunk },
      });
    }
    return rewriter.nodes;
  },
};
