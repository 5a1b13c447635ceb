/**
 * Residual add, gated residual and ReLU after a product become its epilogue: its kernel does them while the
 * values are in registers.
 */
import { need } from '../graph/tape.ts';
import { fusionOf } from '../ops/operation.ts';
import type { Pass } from './pass.ts';
import { Rewriter } from './rewriter.ts';

export const epilogues: Pass = {
  name: 'epilogues',
  applies: () => true,
  run(nodes, context) {
    const rewriter = new Rewriter(nodes);
    for (const product of rewriter) {
      if (!fusionOf(product).epilogue || product.attributes.relu) continue;
      const y = need(product.outputs, 'y');
      const reader = rewriter.onlyReader(y, context);
      const step = reader && fusionOf(reader).asEpilogue?.(reader, y);
      if (!step || (step.residual && product.inputs.residual)) continue;
      const { residual, gate, relu = false } = step;
      // The product takes the reader's place, where its other operand exists; it is met there again.
      rewriter.replace(product);
      rewriter.replace(reader, {
        ...product,
        inputs: { ...product.inputs, ...(residual && { residual }), ...(gate && { gate }) },
        outputs: { y: need(reader.outputs, 'y') },
        attributes: { ...product.attributes, relu },
      });
    }
    return rewriter.nodes;
  },
};
