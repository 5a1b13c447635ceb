/**
 * A tensor once more as an image (storage texture), for kernels that read it often on drivers where that is
 * faster.
 */

import type { Target } from '../device/target.ts';
import { type Dispatch, threads } from '../dispatch.ts';
import { need } from '../graph/tape.ts';
import {
  channelQuads,
  imageWidth,
  physicalShape,
  quads,
  type Tensor,
  type TensorSpec,
} from '../graph/tensor.ts';
import { halves } from './gemm.ts';
import type { Operation } from './operation.ts';
import { scratch } from './scratch.ts';

// Quads of output channels in a line of packed weights: the lanes of a subgroup.
const lanes = 8;

/** Quads in a tensor's image: weights are packed (kernels/image.wesl), with whole groups of output quads. */
function imageQuads(tensor: TensorSpec): number {
  if (tensor.layout !== 'filter') return quads(tensor);
  const [height, width, channels] = physicalShape(tensor) as [number, number, number];
  return height * width * channels * Math.ceil(channelQuads(tensor) / lanes) * lanes;
}

/** The shape of a tensor's image, in the `image` layout. */
export function imageShape(tensor: TensorSpec): [number] {
  return [imageQuads(tensor) * 4];
}

/** Whether a tensor can have an image on this target. */
export function fitsImage(tensor: TensorSpec, target: Target): boolean {
  return Math.ceil(imageQuads(tensor) / imageWidth) <= target.maxImageSize;
}

/** Whether a tensor's image has no quads beside those of the tensor. */
export function fillsImage(tensor: TensorSpec): boolean {
  return imageQuads(tensor) === quads(tensor);
}

/** Copies memory into an image, in order. */
export function copyToImage(x: Tensor, image: Tensor): Dispatch {
  return { kernel: 'copy', bindings: { x, image }, uniforms: {}, workgroups: [0, 0, 0], writes: ['image'] };
}

type ToImageAttributes = {
  /** Where weights are scaled: the scale is that of their rows. */
  readonly transposed?: boolean;
};

// Rows of the weights that a thread of kernels/image.wesl copies.
const chunk = 64;

/** Memory `x` as an image; weights may be multiplied by `scale` on the way, a value per column or row. */
export const toImageDefinition: Operation<ToImageAttributes> = {
  name: 'to_image',
  infer: (inputs) => ({ image: { shape: imageShape(need(inputs, 'x')), layout: 'image' } }),
  // Packing converts, a copy does not.
  half: (node) => ({ inputs: ['x'], outputs: ['image'], alike: need(node.inputs, 'x').layout !== 'filter' }),
  lower(node, target) {
    const x = need(node.inputs, 'x');
    const image = need(node.outputs, 'image');
    if (x.layout !== 'filter') return [copyToImage(x, image)];
    const [, width, channels] = physicalShape(x) as [number, number, number];
    const { scale } = node.inputs;
    const count = (quads(image) / (width * channels)) * Math.ceil((width * channels) / chunk);
    const packed = target.once ? image : scratch('image.packed', image.shape, 'dense', image.half);
    const pack: Dispatch = {
      kernel: {
        module: 'image',
        entry: 'pack',
        conditions: {
          stored: packed === image,
          scaled: scale !== undefined,
          transposed: scale !== undefined && (node.attributes.transposed ?? false),
          ...halves({ weights: x, packed }),
        },
      },
      bindings: { weights: x, packed, ...(scale && { scale }) },
      uniforms: { channels: width * channels, rows: channels, quads: channelQuads(x), count },
      workgroups: threads(count),
      writes: ['packed'],
    };
    return packed === image ? [pack] : [pack, copyToImage(packed, image)];
  },
};
