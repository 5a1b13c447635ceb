/**
 * Folds a scale and a shift per channel (batch norm in evaluation) into weights and bias of the product
 * before it: s * (W x + b) + t = (s W) x + (s b + t).
 */
import { need } from '../graph/tape.ts';
import { fusionOf } from '../ops/operation.ts';
import type { Pass } from './pass.ts';
import { Rewriter } from './rewriter.ts';

export const foldNorm: Pass = {
  name: 'fold_norm',
  applies: () => true,
  run(nodes, context) {
    const rewriter = new Rewriter(nodes);
    for (const norm of rewriter) {
      const scaling = fusionOf(norm).asChannelScaling?.(norm);
      const product = scaling && rewriter.producer(scaling.of);
      if (!scaling || !product) continue;
      const outputChannels = fusionOf(product).weights;
      const { x, w, b } = product.inputs;
      if (!outputChannels || !x || !w || product.attributes.relu) continue;
      const fixed = [...scaling.parameters, w, ...(b ? [b] : [])];
      if (!fixed.every(context.isFixed)) continue;
      if (rewriter.onlyReader(scaling.of, context) !== norm) continue;
      if (scaling.lost.some((tensor) => rewriter.isRead(tensor, context))) continue;
      const fold = scaling.fold((...recorded) => rewriter.record(...recorded), w, b, outputChannels);
      const { residual, relu = false } = scaling.epilogue;
      // The product moves to the place of the norm, where the residual exists.
      rewriter.replace(product);
      rewriter.replace(norm, fold, {
        ...product,
        inputs: { x, w: need(fold.outputs, 'w'), b: need(fold.outputs, 'b'), ...(residual && { residual }) },
        outputs: { y: need(norm.outputs, 'y') },
        attributes: { ...product.attributes, relu },
      });
    }
    return rewriter.nodes;
  },
};
