/** What stage II trains: the one-class bottleneck embedding (method, 3.5) and the reverse decoder (3.6). */

import type { Tensor } from '../engine/graph/tensor.ts';
import { concat } from '../engine/ops/concat.ts';
import { type Backbone, residualStage } from './backbone.ts';
import type { Scope } from './scope.ts';

/**
 * OCBE: three levels to one embedding.
 *
 * @param levels [N,n,n,64e], [N,n/2,n/2,128e], [N,n/4,n/4,256e]
 * @returns [N,n/8,n/8,512e]
 */
export function bottleneck(scope: Scope, levels: readonly Tensor[], backbone: Backbone): Tensor {
  const [fine, middle, coarse] = levels as [Tensor, Tensor, Tensor];
  const e = backbone.expansion;
  const down = (conv: string, norm: string, x: Tensor, channels: number) =>
    scope.norm(norm, scope.conv(conv, x, channels, 3, { stride: 2, padding: 1 }), { relu: true });
  const u = down('conv2', 'bn2', down('conv1', 'bn1', fine, 128 * e), 256 * e);
  const v = down('conv3', 'bn3', middle, 256 * e);
  const joined = concat(scope.tape, [u, v, coarse]);
  return residualStage(scope.at('bn_layer'), joined, backbone, 512, backbone.bottleneckBlocks, 'down');
}

/**
 * The reverse decoder.
 *
 * @param embedding [N,m,m,512e]
 * @returns reconstructions, finest first: [N,8m,8m,64e], [N,4m,4m,128e], [N,2m,2m,256e]
 */
export function student(scope: Scope, embedding: Tensor, backbone: Backbone): Tensor[] {
  let x = embedding;
  return backbone.blocks
    .map((blocks, index) => {
      x = residualStage(scope.at(`layer${index + 1}`), x, backbone, 256 >> index, blocks, 'up');
      return x;
    })
    .reverse();
}
