/** Global average pooling: the mean over all pixels of each image. */
import { variantOf, workgroupsFor } from '../device/families.ts';
import { threads } from '../dispatch.ts';
import { need, type Tape } from '../graph/tape.ts';
import { channelQuads, positions, quads, type Tensor } from '../graph/tensor.ts';
import type { Operation } from './operation.ts';

function pixels(shape: readonly number[]): number {
  return (shape[1] as number) * (shape[2] as number);
}

const averagePoolDefinition: Operation = {
  name: 'global_average_pool',
  infer(inputs) {
    const [n, , , c] = need(inputs, 'x').shape as [number, number, number, number];
    return { y: { shape: [n, 1, 1, c], layout: 'channels' } };
  },
  backward({ tape, node, gradient }) {
    const { shape } = need(node.inputs, 'x');
    return { x: tape.record(averagePoolGradient, { dy: gradient('y') }, { shape }).dx };
  },
  lower(node, { profile, target }) {
    const x = need(node.inputs, 'x');
    const y = need(node.outputs, 'y');
    const perImage = pixels(x.shape);
    const problem = { rows: positions(x), rowsPerImage: perImage, channelQuads: channelQuads(x) };
    const kernel = profile.kernels.averagePool(problem, target);
    return [
      {
        kernel: variantOf(kernel),
        bindings: { x, y },
        uniforms: { pixels: perImage, quads: channelQuads(x), count: quads(y) },
        workgroups: workgroupsFor(kernel, quads(y)),
        writes: ['y'],
        flops: 4 * quads(x),
      },
    ];
  },
};

const averagePoolGradient: Operation<{ shape: readonly number[] }> = {
  name: 'global_average_pool_gradient',
  infer: (_, { shape }) => ({ dx: { shape, layout: 'channels' } }),
  lower(node) {
    const dx = need(node.outputs, 'dx');
    return [
      {
        kernel: { module: 'average_pool', entry: 'gradient' },
        bindings: { x: dx, y: need(node.inputs, 'dy') },
        uniforms: { pixels: pixels(dx.shape), quads: channelQuads(dx), count: quads(dx) },
        workgroups: threads(quads(dx)),
        writes: ['x'],
      },
    ];
  },
};

/**
 * The mean over all pixels of each image.
 *
 * @param x [N,H,W,C]
 * @returns [N,1,1,C]
 */
export function globalAveragePool(tape: Tape, x: Tensor): Tensor {
  return tape.record(averagePoolDefinition, { x }, {}).y as Tensor;
}
