/**
 * Leaves the scaling of rows to unit length to what reads their products: (x / |x|) w = (x w) / |x|. The
 * scaled rows are then never written, and the operation that scales them is one dispatch less.
 */
import { need } from '../graph/tape.ts';
import { fusionOf } from '../ops/operation.ts';
import type { Pass } from './pass.ts';
import { Rewriter } from './rewriter.ts';

export const rowLengths: Pass = {
  name: 'row_lengths',
  applies: ({ rewrites }) => rewrites.rowLengths,
  run(nodes, context) {
    const rewriter = new Rewriter(nodes);
    for (const reader of rewriter) {
      const operand = fusionOf(reader).dividesRowsOf?.(reader);
      const product = operand && rewriter.producer(operand);
      if (!product || !fusionOf(product).keepsRows?.(product)) continue;
      if (rewriter.onlyReader(operand, context) !== reader) continue;
      const x = need(product.inputs, 'x');
      const scaling = rewriter.producer(x);
      const unit = scaling && fusionOf(scaling).asUnitRows?.(scaling);
      if (!unit || rewriter.onlyReader(x, context) !== product) continue;
      if (unit.lost.some((tensor) => rewriter.isRead(tensor, context))) continue;
      rewriter.replace(scaling);
      rewriter.replace(product, { ...product, inputs: { ...product.inputs, x: unit.of } });
      rewriter.replace(reader, {
        ...reader,
        inputs: { ...reader.inputs, rows: unit.of },
        attributes: { ...reader.attributes, epsilon: unit.epsilon },
      });
    }
    return rewriter.nodes;
  },
};
