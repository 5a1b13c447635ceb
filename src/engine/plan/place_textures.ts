/**
 * Placement of tensors in storage textures: a texture serves every tensor that fits into it, one after the
 * other.
 */

import { textureWidth } from '../../../kernels/sizes.ts';
import { boundTensor, type Dispatch } from '../dispatch.ts';
import { quads, type Tensor } from '../graph/tensor.ts';

export interface TexturePlacement {
  /** Index into `textures` by tensor. */
  readonly textureOf: ReadonlyMap<Tensor, number>;
  /** Lines of each texture, and whether its texels are 16-bit floats. */
  readonly textures: readonly { readonly height: number; readonly half: boolean }[];
}

/**
 * @param dispatches in order of execution
 * @param persistent tensors that later runs must find again: each gets a texture of its own
 */
export function placeTextures(
  dispatches: readonly Dispatch[],
  persistent: ReadonlySet<Tensor>,
): TexturePlacement {
  const lives = new Map<Tensor, { first: number; last: number }>();
  dispatches.forEach((dispatch, index) => {
    for (const binding of Object.values(dispatch.bindings)) {
      const tensor = boundTensor(binding);
      if (tensor?.layout !== 'texture') continue;
      const life = lives.get(tensor);
      if (life) life.last = index;
      else lives.set(tensor, { first: index, last: index });
    }
  });
  for (const [tensor, life] of lives)
    if (persistent.has(tensor)) Object.assign(life, { first: -1, last: Infinity });
  const textures: { height: number; half: boolean; busy: { first: number; last: number }[] }[] = [];
  const textureOf = new Map<Tensor, number>();
  for (const [tensor, life] of [...lives].sort(([a], [b]) => quads(b) - quads(a))) {
    // Sorted by size, so that any texture already there is large enough.
    const half = tensor.half ?? false;
    let index = textures.findIndex(
      (texture) =>
        texture.half === half &&
        texture.busy.every((other) => other.last < life.first || life.last < other.first),
    );
    if (index < 0)
      index = textures.push({ height: Math.ceil(quads(tensor) / textureWidth), half, busy: [] }) - 1;
    textures[index]?.busy.push(life);
    textureOf.set(tensor, index);
  }
  return { textureOf, textures };
}
