/** max_pool2d, ties to the first tap as in PyTorch. */
import { type ItemKernel, variantOf, workgroupsFor } from '../device/families.ts';
import type { Dispatch } from '../dispatch.ts';
import { need, type Tape } from '../graph/tape.ts';
import { channelQuads, quads, type Tensor } from '../graph/tensor.ts';
import type { Operation } from './operation.ts';

/** Sizes in pixels; `padding` counts as minus infinity, and is at most half of the kernel. */
export type PoolAttributes = {
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
};

function dispatch(
  kernel: ItemKernel,
  x: Tensor,
  y: Tensor,
  over: Tensor,
  attributes: PoolAttributes,
): Omit<Dispatch, 'bindings' | 'writes'> {
  return {
    kernel: variantOf(kernel, { taps: true, half: x.half ?? false }),
    uniforms: {
      input_height: x.shape[1] as number,
      input_width: x.shape[2] as number,
      output_height: y.shape[1] as number,
      output_width: y.shape[2] as number,
      quads: channelQuads(x),
      count: quads(over),
      ...attributes,
    },
    workgroups: workgroupsFor(kernel, quads(over)),
    flops: 4 * quads(y) * attributes.kernel ** 2,
  };
}

const maxPool2dDefinition: Operation<PoolAttributes> = {
  name: 'max_pool2d',
  infer(inputs, { kernel, stride, padding }) {
    const [n, h, w, c] = need(inputs, 'x').shape as [number, number, number, number];
    if (2 * padding > kernel) throw new Error(`padding ${padding} is more than half of the kernel ${kernel}`);
    const size = (extent: number) => Math.floor((extent + 2 * padding - kernel) / stride) + 1;
    if (size(h) < 1 || size(w) < 1) throw new Error(`the kernel is larger than the padded image ${h}x${w}`);
    const y = { shape: [n, size(h), size(w), c], layout: 'channels' } as const;
    return { y, taps: y };
  },
  backward({ tape, node, gradient }) {
    const x = need(node.inputs, 'x');
    const inputs = { dy: gradient('y'), taps: need(node.outputs, 'taps') };
    return { x: tape.record(maxPool2dGradient, inputs, { ...node.attributes, shape: x.shape }).dx };
  },
  half: () => ({ inputs: ['x'], outputs: ['y'], alike: true }),
  batch: { does: 'map', operands: ['x', 'y', 'taps'] },
  lower(node, { profile, target }) {
    const x = need(node.inputs, 'x');
    const y = need(node.outputs, 'y');
    const taps = need(node.outputs, 'taps');
    const kernel = profile.kernels.maxPool.forward(node.attributes, target);
    return [
      { ...dispatch(kernel, x, y, y, node.attributes), bindings: { x, y, taps }, writes: ['y', 'taps'] },
    ];
  },
};

const maxPool2dGradient: Operation<PoolAttributes & { shape: readonly number[] }> = {
  name: 'max_pool2d_gradient',
  infer: (_, { shape }) => ({ dx: { shape, layout: 'channels' } }),
  batch: { does: 'map', operands: ['dy', 'taps', 'dx'] },
  lower(node, { profile, target }) {
    const dy = need(node.inputs, 'dy');
    const dx = need(node.outputs, 'dx');
    const { kernel, stride, padding } = node.attributes;
    const chosen = profile.kernels.maxPool.gradient({ kernel, stride }, target);
    return [
      {
        ...dispatch(chosen, dx, dy, dx, { kernel, stride, padding }),
        bindings: { dy, taps: need(node.inputs, 'taps'), dx },
        writes: ['dx'],
      },
    ];
  },
};

/**
 * The largest value under each window; of equal ones the first, as in PyTorch.
 *
 * @param x [N,H,W,C]
 * @returns [N,OH,OW,C], OH = floor((H + 2 * padding - kernel) / stride) + 1
 * @throws Error where the padding is more than half of the kernel, or no window fits
 */
export function maxPool2d(tape: Tape, x: Tensor, attributes: PoolAttributes): Tensor {
  return tape.record(maxPool2dDefinition, { x }, attributes).y as Tensor;
}
