/** add (with a batch-less second operand), relu, scale by a scalar tensor. */
import { type Dispatch, threads } from '../dispatch.ts';
import { need, type Tape, type Tensors } from '../graph/tape.ts';
import { byteLength, quads, type Tensor } from '../graph/tensor.ts';
import type { BatchOperands, Operation } from './operation.ts';

type NoAttributes = Record<string, never>;

function dispatch(
  entry: string,
  bindings: Record<string, Tensor>,
  uniforms: Record<string, number> = {},
): Dispatch {
  const count = quads(need(bindings, 'output'));
  return {
    kernel: { module: 'elementwise', entry },
    bindings,
    uniforms: { count, ...uniforms },
    workgroups: threads(count),
    writes: ['output'],
    flops: 4 * count,
  };
}

const perImage: BatchOperands = { does: 'map', operands: ['a', 'b', 'y'] };

function same(inputs: Tensors): { y: Tensor } {
  return { y: need(inputs, 'a') };
}

export const addDefinition: Operation<NoAttributes> = {
  name: 'add',
  infer(inputs) {
    const a = need(inputs, 'a');
    const b = need(inputs, 'b');
    const repeats = byteLength(a) / byteLength(b);
    const compatible = `${a.shape.slice(1)}` === `${b.shape.slice(1)}` && a.layout === b.layout;
    if (!compatible || !Number.isInteger(repeats) || (repeats !== 1 && b.shape[0] !== 1))
      throw new Error('the shapes differ in more than a batch of 1');
    return same(inputs);
  },
  backward({ node, gradient, needs }) {
    const dy = gradient('y');
    if (needs('b') && `${need(node.inputs, 'a').shape}` !== `${need(node.inputs, 'b').shape}`)
      throw new Error('add: no gradient towards a broadcast operand');
    return { a: dy, b: dy };
  },
  batch: perImage,
  fusion: {
    asEpilogue(node, operand) {
      const a = need(node.inputs, 'a');
      const b = need(node.inputs, 'b');
      return a === b || `${a.shape}` !== `${b.shape}` ? undefined : { residual: operand === a ? b : a };
    },
    asSum: (node) => ({ value: need(node.inputs, 'a'), addend: need(node.inputs, 'b') }),
  },
  lower: (node) => {
    const b = need(node.inputs, 'b');
    return [
      dispatch(
        'add',
        { a: need(node.inputs, 'a'), b, output: need(node.outputs, 'y') },
        { period: quads(b) },
      ),
    ];
  },
};

export const reluDefinition: Operation<NoAttributes> = {
  name: 'relu',
  infer: same,
  backward({ tape, node, gradient }) {
    return { a: tape.record(reluGradient, { a: gradient('y'), b: need(node.outputs, 'y') }, {}).y };
  },
  batch: perImage,
  fusion: { asEpilogue: () => ({ relu: true }) },
  lower: (node) => [dispatch('relu', { a: need(node.inputs, 'a'), output: need(node.outputs, 'y') })],
};

const reluGradient: Operation<NoAttributes> = {
  name: 'relu_gradient',
  infer: same,
  batch: perImage,
  lower: (node) => [
    dispatch('relu_gradient', {
      a: need(node.inputs, 'a'),
      b: need(node.inputs, 'b'),
      output: need(node.outputs, 'y'),
    }),
  ],
};

const scaleDefinition: Operation<{ factor: number }> = {
  name: 'scale',
  infer: same,
  batch: perImage,
  lower: (node) => [
    dispatch(
      'scale',
      { a: need(node.inputs, 'a'), output: need(node.outputs, 'y'), scalar: need(node.inputs, 'scalar') },
      { factor: node.attributes.factor },
    ),
  ],
};

/**
 * a + b.
 *
 * @param b of a's shape and layout; its batch may be 1 where a has more, then without a gradient
 * @returns of a's shape
 * @throws Error where the shapes differ in more than that
 */
export function add(tape: Tape, a: Tensor, b: Tensor): Tensor {
  return tape.record(addDefinition, { a, b }, {}).y as Tensor;
}

/** max(a, 0), of a's shape; the gradient at 0 is 0. */
export function relu(tape: Tape, a: Tensor): Tensor {
  return tape.record(reluDefinition, { a }, {}).y as Tensor;
}

/**
 * factor * scalar[0] * a, for backward rules: it has no gradient of its own.
 *
 * @param scalar [1]
 * @returns of a's shape
 */
export function scale(tape: Tape, a: Tensor, scalar: Tensor, factor = 1): Tensor {
  return tape.record(scaleDefinition, { a, scalar }, { factor }).y as Tensor;
}

/** Sum of two gradient contributions. */
export const accumulate = add;
