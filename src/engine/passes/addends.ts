/**
 * Takes a fixed addend (a positional encoding) out of the sum before a product: conv(x + c) = conv(x) +
 * conv(c). With fixed weights the second part is computed once and becomes the product's residual.
 */
import { need } from '../graph/tape.ts';
import { fusionOf } from '../ops/operation.ts';
import type { Pass } from './pass.ts';
import { Rewriter } from './rewriter.ts';

export const addends: Pass = {
  name: 'addends',
  // It changes rounding, and five steps of a training amplify a last bit to a per cent.
  applies: ({ phase }) => phase === 'inference',
  run(nodes, context) {
    const rewriter = new Rewriter(nodes);
    for (const sum of rewriter) {
      const parts = fusionOf(sum).asSum?.(sum);
      if (!parts) continue;
      const y = need(sum.outputs, 'y');
      const product = rewriter.onlyReader(y, context);
      if (!product || !fusionOf(product).linear || product.inputs.x !== y || product.inputs.residual)
        continue;
      const w = need(product.inputs, 'w');
      // The addend may be of one image: so is the residual then, whatever the batch, and results do not
      // depend on the batch.
      if (!context.isFixed(parts.addend) || !context.isFixed(w)) continue;
      const constant = rewriter.record(
        product.definition,
        { x: parts.addend, w },
        { ...product.attributes, relu: false },
      );
      rewriter.replace(sum);
      rewriter.replace(product, constant, {
        ...product,
        inputs: { ...product.inputs, x: parts.value, residual: need(constant.outputs, 'y') },
      });
    }
    return rewriter.nodes;
  },
};
