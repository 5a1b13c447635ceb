/**
 * Gives matrix products their operands, or their weights alone, as textures: copies in front of the product
 * that reads them.
 */
import { type Node, need } from '../graph/tape.ts';
import type { Tensor } from '../graph/tensor.ts';
import { fusionOf, operationOf, runsInParts } from '../ops/operation.ts';
import { fitsTexture, toTextureDefinition } from '../ops/texture.ts';
import type { Pass } from './pass.ts';
import { Rewriter } from './rewriter.ts';

// Within this many operations a copy of activations is used again. In a training it is made anew further on
// rather than kept alive until the backward pass. Weights are small beside them and slow to pack: theirs
// serves the forward and the backward pass.
const reach = { training: 6, inference: 100 };

export const textures: Pass = {
  name: 'textures',
  applies: ({ rewrites }) => rewrites.textures || rewrites.weightTextures,
  run(nodes, { lowering: { target }, phase, rewrites }) {
    const rewriter = new Rewriter(nodes);
    const copies = new Map<Tensor, { texture: Tensor; position: number }>();
    let position = 0;
    for (const node of nodes) {
      const inputs: Record<string, Tensor> = { ...node.inputs };
      const before: Node[] = [];
      // A range of images cannot be bound of a texture.
      const ranges = runsInParts(node, target) ? operationOf(node).batch?.operands : [];
      // One rule for all sizes keeps the pipelines few.
      for (const { input, isWeights } of fusionOf(node).textures ?? []) {
        const tensor = node.inputs[input];
        if (!rewrites.textures && !isWeights) continue;
        if (!tensor || node.inputs[`${input}_texture`] || ranges?.includes(input)) continue;
        if (!fitsTexture(tensor, target)) continue;
        let copy = copies.get(tensor);
        if (!copy || (!isWeights && position - copy.position > reach[phase])) {
          const made = rewriter.record(toTextureDefinition, { x: tensor }, {});
          before.push(made);
          position++;
          copy = { texture: need(made.outputs, 'texture'), position };
        }
        copies.set(tensor, { ...copy, position });
        inputs[`${input}_texture`] = copy.texture;
      }
      rewriter.replace(node, ...before, { ...node, inputs });
      position++;
    }
    return rewriter.nodes;
  },
};
