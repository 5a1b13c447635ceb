/**
 * Folded weights that are only packed or transformed are not written down: whoever reads them multiplies them
 * by the scale on the way.
 */
import { fusionOf } from '../ops/operation.ts';
import type { Pass } from './pass.ts';
import { Rewriter } from './rewriter.ts';

export const scaleWhereRead: Pass = {
  name: 'scale_where_read',
  applies: () => true,
  run(nodes, context) {
    const rewriter = new Rewriter(nodes);
    for (const fold of nodes) {
      const weights = fusionOf(fold).scaledWeights?.(fold);
      if (!weights || context.read.has(weights.scaled)) continue;
      const { scaled, unscaled, scale, transposed } = weights;
      // Where a product has a texture, the weights only name the shape.
      const readers = rewriter
        .readers(scaled)
        .filter(({ inputs }) =>
          Object.entries(inputs).some(([name, tensor]) => tensor === scaled && !inputs[`${name}_texture`]),
        );
      const scales = readers.every((reader) => {
        const input = fusionOf(reader).scales;
        return input !== undefined && reader.inputs[input] === scaled;
      });
      if (!readers.length || !scales) continue;
      rewriter.replace(fold, { ...fold, attributes: { ...fold.attributes, scaledByReaders: true } });
      for (const reader of readers) {
        const input = fusionOf(reader).scales as string;
        rewriter.replace(reader, {
          ...reader,
          inputs: { ...reader.inputs, [input]: unscaled, scale },
          attributes: { ...reader.attributes, transposed },
        });
      }
    }
    return rewriter.nodes;
  },
};
