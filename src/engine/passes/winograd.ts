/**
 * 3x3 convolutions with fixed weights take Winograd's form: 36 multiplications instead of 144 for a tile of
 * 4x4 outputs. The transform of the weights is an operation of its own, which the prologue runs.
 */
import { chooseWinogradTiles } from '../device/choose.ts';
import type { WinogradTile } from '../device/families.ts';
import { type Node, need, type OpDefinition } from '../graph/tape.ts';
import { byteLength } from '../graph/tensor.ts';
import { fusionOf } from '../ops/operation.ts';
import { fillsTexture, fitsTexture } from '../ops/texture.ts';
import { transformedWeights, winogradDefinition, winogradWeightsDefinition } from '../ops/winograd.ts';
import type { Pass, PassContext } from './pass.ts';
import { Rewriter } from './rewriter.ts';
import { fixedValues } from './split.ts';

/** The best of the tiles that pay for their transforms, whose transformed tensors fit a binding. */
function tileOf(node: Node, { lowering, compact }: PassContext): WinogradTile | undefined {
  if (!fusionOf(node).hasWinogradForm?.(node)) return undefined;
  const y = need(node.outputs, 'y');
  const [, , ci, co] = need(node.inputs, 'w').shape as [number, number, number, number];
  const [batch, height, width] = y.shape as [number, number, number];
  const limit = lowering.target.maxStorageBufferBindingSize;
  if (byteLength(need(node.inputs, 'x')) > limit || byteLength(y) > limit) return undefined;
  // The choice goes by one image, so that a result does not depend on the batch that it was computed in.
  const problem = { height, width, inputChannels: ci, outputChannels: co, compact };
  const tiles = (side: number) => Math.ceil(height / side) * Math.ceil(width / side);
  // The transformed tensors are larger than weights and activations, and each is bound whole.
  const fits = (side: WinogradTile) =>
    (side + 2) ** 2 * 4 * Math.max(ci * co, batch * tiles(side) * Math.max(ci, co)) <= limit;
  return chooseWinogradTiles(problem, lowering).find(fits);
}

export const winograd: Pass = {
  name: 'winograd',
  // Its rounding errors are up to ten times those of the direct form: too much for what is trained.
  applies: ({ phase, rewrites }) => phase === 'inference' && rewrites.winograd,
  run(nodes, context) {
    const { rewrites, lowering } = context;
    const isFixed = fixedValues(nodes, context);
    const rewriter = new Rewriter(nodes);
    for (const node of rewriter) {
      const tile = tileOf(node, context);
      if (!tile || !isFixed(need(node.inputs, 'w')) || isFixed(need(node.inputs, 'x'))) continue;
      const w = need(node.inputs, 'w');
      const u = transformedWeights(w, tile);
      const stored = rewrites.textures && fitsTexture(u, lowering.target) && fillsTexture(u);
      const transform = rewriter.record(winogradWeightsDefinition, { w }, { tile, stored });
      const { u: transformed, texture } = transform.outputs;
      rewriter.replace(node, transform, {
        // The attributes are those of the convolution and the tile.
        definition: winogradDefinition as unknown as OpDefinition,
        inputs: { ...node.inputs, w: transformed as typeof w, ...(texture && { w_texture: texture }) },
        outputs: node.outputs,
        attributes: { ...node.attributes, tile },
      });
    }
    return rewriter.nodes;
  },
};
