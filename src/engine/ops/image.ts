/** A tensor once more as an image (storage texture), for kernels that read it often on drivers where that is faster. */
import { type Dispatch, type Target, threads } from '../select.ts';
import { need, type OpDefinition } from '../tape.ts';
import { channelQuads, physicalShape, quads, type Tensor } from '../tensor.ts';
import { scratch } from './scratch.ts';

// Texels of a line are copied in units of 256 bytes.
const lineMultiple = 16;
const lanesPerGroup = 8;

/**
 * Width and height in quads of a tensor's image. An activation has a row of pixels per line; convolution weights are packed,
 * see kernels/image.wesl.
 */
function imageSizeOf(tensor: Tensor): { width: number; height: number } {
  if (tensor.layout === 'filter') {
    const [height, width, channels] = physicalShape(tensor) as [number, number, number];
    return {
      width: width * channels * lanesPerGroup,
      height: height * Math.ceil(channelQuads(tensor) / lanesPerGroup),
    };
  }
  const width = (tensor.shape[2] as number) * channelQuads(tensor);
  return { width, height: quads(tensor) / width };
}

/** The shape of a tensor's image, in the `image` layout. */
export function imageShape(tensor: Tensor): [number, number] {
  const { width, height } = imageSizeOf(tensor);
  return [height, width * 4];
}

/** Whether a tensor can have an image on this target. */
export function fitsImage(tensor: Tensor, target: Target): boolean {
  const { width, height } = imageSizeOf(tensor);
  return width % lineMultiple === 0 && Math.max(width, height) <= target.maxImageSize;
}

/** Copies memory into an image, in order. */
export function copyToImage(x: Tensor, image: Tensor): Dispatch {
  return { kernel: 'copy', bindings: { x, image }, uniforms: {}, workgroups: [0, 0, 0], writes: ['image'] };
}

export const toImageDefinition: OpDefinition = {
  name: 'to_image',
  infer: (inputs) => ({ image: { shape: imageShape(need(inputs, 'x')), layout: 'image' } }),
  lower(node) {
    const x = need(node.inputs, 'x');
    const image = need(node.outputs, 'image');
    if (x.layout !== 'filter') return [copyToImage(x, image)];
    const [, width, channels] = physicalShape(x) as [number, number, number];
    const packed = scratch('image.packed', image.shape);
    const pack: Dispatch = {
      kernel: { module: 'image', entry: 'pack' },
      bindings: { weights: x, packed },
      uniforms: { channels: width * channels, quads: channelQuads(x), count: quads(packed) },
      workgroups: threads(quads(packed)),
      writes: ['packed'],
    };
    return [pack, copyToImage(packed, image)];
  },
};
