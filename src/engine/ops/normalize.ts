/** Rows scaled to unit length. */
import { variantOf, workgroupsFor } from '../device/families.ts';
import { need, type Tape } from '../graph/tape.ts';
import { channelQuads, quads, type Tensor } from '../graph/tensor.ts';
import type { Operation } from './operation.ts';

type NormalizeAttributes = { readonly epsilon: number };

// Rows in memory, padding rows of the filter layout included: they come out as zeros.
function rowsOf(tensor: Tensor): number {
  return quads(tensor) / channelQuads(tensor);
}

function problemOf(x: Tensor) {
  const rows = rowsOf(x);
  const images = x.layout === 'channels' ? (x.shape[0] as number) : 1;
  return { rows, rowsPerImage: rows / images, channelQuads: channelQuads(x) };
}

const normalizeDefinition: Operation<NormalizeAttributes> = {
  name: 'l2_normalize',
  infer(inputs) {
    const x = need(inputs, 'x');
    if (x.layout === 'dense') throw new Error('l2_normalize takes rows of channels');
    const norm = x.layout === 'channels' ? x.shape.slice(0, -1) : [rowsOf(x)];
    return { y: x, norm: { shape: norm, layout: 'dense' } };
  },
  backward({ tape, node, gradient }) {
    const inputs = { y: need(node.outputs, 'y'), norm: need(node.outputs, 'norm'), dy: gradient('y') };
    return { x: tape.record(normalizeGradient, inputs, node.attributes).dx };
  },
  half: () => ({ inputs: ['x'], outputs: [] }),
  fusion: {
    asUnitRows: ({ inputs, outputs, attributes }) => ({
      of: need(inputs, 'x'),
      epsilon: attributes.epsilon,
      lost: [need(outputs, 'norm')],
    }),
  },
  batch: { does: 'map', operands: ['x', 'y', 'norm'] },
  lower(node, { profile, target }) {
    const x = need(node.inputs, 'x');
    const problem = problemOf(x);
    const kernel = profile.kernels.normalize.forward(problem, target);
    return [
      {
        kernel: variantOf(kernel, { half: x.half ?? false }),
        bindings: { x, y: need(node.outputs, 'y'), norm: need(node.outputs, 'norm') },
        uniforms: { rows: problem.rows, quads: problem.channelQuads, epsilon: node.attributes.epsilon },
        workgroups: workgroupsFor(kernel, problem.rows),
        writes: ['y', 'norm'],
        flops: 12 * quads(x),
      },
    ];
  },
};

const normalizeGradient: Operation<NormalizeAttributes> = {
  name: 'l2_normalize_gradient',
  infer: (inputs) => ({ dx: need(inputs, 'y') }),
  batch: { does: 'map', operands: ['y', 'norm', 'dy', 'dx'] },
  lower(node, { profile, target }) {
    const y = need(node.inputs, 'y');
    const problem = problemOf(y);
    const kernel = profile.kernels.normalize.gradient(problem, target);
    return [
      {
        kernel: variantOf(kernel),
        bindings: {
          y,
          norm: need(node.inputs, 'norm'),
          dy: need(node.inputs, 'dy'),
          dx: need(node.outputs, 'dx'),
        },
        uniforms: { rows: problem.rows, quads: problem.channelQuads, epsilon: node.attributes.epsilon },
        workgroups: workgroupsFor(kernel, problem.rows),
        writes: ['dx'],
        flops: 20 * quads(y),
      },
    ];
  },
};

/**
 * x / max(|x|, epsilon), with the norm over the last dimension.
 *
 * @returns of x's shape
 */
export function l2Normalize(tape: Tape, x: Tensor, epsilon = 1e-12): Tensor {
  return tape.record(normalizeDefinition, { x }, { epsilon }).y as Tensor;
}
