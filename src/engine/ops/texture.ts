/**
 * A tensor once more as a storage texture, for kernels that read it often on drivers where that is
 * faster.
 */

import { packedQuads, textureWidth } from '../../../kernels/sizes.ts';
import { variantOf } from '../device/families.ts';
import type { Target } from '../device/target.ts';
import { type Dispatch, threads } from '../dispatch.ts';
import { need } from '../graph/tape.ts';
import { channelQuads, physicalShape, quads, type Tensor, type TensorSpec } from '../graph/tensor.ts';
import { halves } from './gemm.ts';
import type { Operation } from './operation.ts';
import { scratch } from './scratch.ts';

/**
 * Quads in a tensor's texture: weights are packed (kernels/texture.wesl), with whole groups of output quads.
 */
function textureQuads(tensor: TensorSpec): number {
  if (tensor.layout !== 'filter') return quads(tensor);
  const [height, width, channels] = physicalShape(tensor) as [number, number, number];
  return height * width * channels * Math.ceil(channelQuads(tensor) / packedQuads) * packedQuads;
}

/** The shape of a tensor's texture, in the `texture` layout. */
export function textureShape(tensor: TensorSpec): [number] {
  return [textureQuads(tensor) * 4];
}

/** Whether a tensor can have a texture on this target. */
export function fitsTexture(tensor: TensorSpec, target: Target): boolean {
  return Math.ceil(textureQuads(tensor) / textureWidth) <= target.maxTextureSize;
}

/** Whether a tensor's texture has no quads beside those of the tensor. */
export function fillsTexture(tensor: TensorSpec): boolean {
  return textureQuads(tensor) === quads(tensor);
}

/** Copies memory into a texture, in order. */
export function copyToTexture(x: Tensor, texture: Tensor): Dispatch {
  return {
    kernel: 'copy',
    bindings: { x, texture },
    uniforms: {},
    workgroups: [0, 0, 0],
    writes: ['texture'],
  };
}

type ToTextureAttributes = {
  /** Where weights are scaled: the scale is that of their rows. */
  readonly transposed?: boolean;
};

/** Memory `x` as a texture; weights may be multiplied by `scale` on the way, a value per column or row. */
export const toTextureDefinition: Operation<ToTextureAttributes> = {
  name: 'to_texture',
  infer: (inputs) => ({ texture: { shape: textureShape(need(inputs, 'x')), layout: 'texture' } }),
  // Packing converts, a copy does not.
  half: (node) => ({
    inputs: ['x'],
    outputs: ['texture'],
    alike: need(node.inputs, 'x').layout !== 'filter',
  }),
  fusion: { scales: 'x' },
  lower(node, { phase, profile, target }) {
    const x = need(node.inputs, 'x');
    const texture = need(node.outputs, 'texture');
    if (x.layout !== 'filter') return [copyToTexture(x, texture)];
    const [, width, channels] = physicalShape(x) as [number, number, number];
    const { scale } = node.inputs;
    const rows = width * channels;
    const columns = quads(texture) / rows;
    const kernel = profile.kernels.pack({ columns, rows }, target);
    const count = columns * Math.ceil(rows / kernel.rowsPerThread);
    const packed =
      phase === 'prologue' ? texture : scratch('texture.packed', texture.shape, 'dense', texture.half);
    const pack: Dispatch = {
      kernel: variantOf(kernel, {
        stored: packed === texture,
        scaled: scale !== undefined,
        transposed: scale !== undefined && (node.attributes.transposed ?? false),
        ...halves({ weights: x, packed }),
      }),
      bindings: { weights: x, packed, ...(scale && { scale }) },
      uniforms: { channels: rows, rows: channels, quads: channelQuads(x), count },
      workgroups: threads(count),
      writes: ['packed'],
    };
    return packed === texture ? [pack] : [pack, copyToTexture(packed, texture)];
  },
};
