/** The matching gate (method, 3.4: steps 2-3) and the gated residual fusion (steps 4-6). */
import type { LoweringContext } from '../device/context.ts';
import { variantOf, workgroupsFor } from '../device/families.ts';
import type { Dispatch } from '../dispatch.ts';
import { type Node, need, type Tape } from '../graph/tape.ts';
import { channelQuads, elements, positions, quads, type Tensor } from '../graph/tensor.ts';
import { convTranspose2d } from './conv2d.ts';
import { l2Normalize } from './normalize.ts';
import type { Operation } from './operation.ts';

type GateAttributes = {
  readonly temperature: number;
  /** With an input `rows`: the least that the length of a row counts. */
  readonly epsilon?: number;
};

function gateUniforms(cosines: Tensor, { temperature }: GateAttributes): Record<string, number> {
  return {
    positions: positions(cosines),
    quads: channelQuads(cosines),
    items: cosines.shape.at(-1) as number,
    temperature,
  };
}

/** What the kernels over positions are chosen by. */
function problemOf(x: Tensor) {
  const rows = positions(x);
  return { rows, rowsPerImage: rows / (x.shape[0] as number), channelQuads: channelQuads(x) };
}

const gateDefinition: Operation<GateAttributes> = {
  name: 'softmax_gate',
  infer(inputs) {
    const cosines = need(inputs, 'cosines');
    if ((cosines.shape.at(-1) as number) % 2)
      throw new Error('the number of keys must be even: half of them are abnormal');
    return { gate: { shape: cosines.shape.slice(0, -1), layout: 'dense' } };
  },
  backward({ tape, node, gradient }) {
    const inputs = {
      cosines: need(node.inputs, 'cosines'),
      gate: need(node.outputs, 'gate'),
      d_gate: gradient('gate'),
    };
    return { cosines: tape.record(gateGradient, inputs, node.attributes).d_cosines };
  },
  half: ({ inputs }) => ({ inputs: inputs.rows ? ['rows'] : [], outputs: [] }),
  fusion: { dividesRowsOf: ({ inputs }) => (inputs.rows ? undefined : inputs.cosines) },
  lower(node, context) {
    const { profile, target } = context;
    const cosines = need(node.inputs, 'cosines');
    const problem = problemOf(cosines);
    if (node.inputs.rows) return [lowerWithRows(node, node.inputs.rows, context)];
    const kernel = profile.kernels.gate.forward(problem, target);
    return [
      {
        kernel: variantOf(kernel),
        bindings: { cosines, gate: need(node.outputs, 'gate') },
        uniforms: gateUniforms(cosines, node.attributes),
        workgroups: workgroupsFor(kernel, problem.rows),
        writes: ['gate'],
        flops: 24 * elements(cosines.shape),
      },
    ];
  },
};

/** The gate from products with rows that are not of unit length (kernels/matching_gate.wesl). */
function lowerWithRows(
  { inputs, outputs, attributes }: Node<GateAttributes>,
  rows: Tensor,
  { profile, target }: LoweringContext,
): Dispatch {
  const cosines = need(inputs, 'cosines');
  const problem = { ...problemOf(rows), keyQuads: channelQuads(cosines) };
  const kernel = profile.kernels.gate.matching(problem, target);
  return {
    kernel: variantOf(kernel, { half: rows.half ?? false }),
    bindings: { rows, cosines, gate: need(outputs, 'gate') },
    uniforms: {
      ...gateUniforms(cosines, attributes),
      row_quads: channelQuads(rows),
      epsilon: attributes.epsilon as number,
    },
    workgroups: workgroupsFor(kernel, positions(cosines)),
    writes: ['gate'],
    flops: 24 * elements(cosines.shape) + 8 * quads(rows),
  };
}

const gateGradient: Operation<GateAttributes> = {
  name: 'softmax_gate_gradient',
  infer: (inputs) => ({ d_cosines: need(inputs, 'cosines') }),
  lower(node, { profile, target }) {
    const cosines = need(node.inputs, 'cosines');
    const problem = problemOf(cosines);
    const kernel = profile.kernels.gate.gradient(problem, target);
    return [
      {
        kernel: variantOf(kernel),
        bindings: {
          cosines,
          gate: need(node.inputs, 'gate'),
          d_gate: need(node.inputs, 'd_gate'),
          d_cosines: need(node.outputs, 'd_cosines'),
        },
        uniforms: gateUniforms(cosines, node.attributes),
        workgroups: workgroupsFor(kernel, problem.rows),
        writes: ['d_cosines'],
        flops: 48 * elements(cosines.shape),
      },
    ];
  },
};

/**
 * Matching gate: softmax over cosines with 2L keys at a temperature, summed over the abnormal half.
 *
 * @param query [N,H,W,C]
 * @param keys [1,1,2L,C], in the `filter` layout, the first L normal
 * @param temperature divides the cosines before the softmax
 * @returns gate [N,H,W] in (0, 1)
 */
export function matchingGate(tape: Tape, query: Tensor, keys: Tensor, temperature = 0.2): Tensor {
  // The product with the keys is a 1x1 transposed convolution: [.., C] x [1,1,2L,C] -> [.., 2L].
  const cosines = convTranspose2d(tape, l2Normalize(tape, query), l2Normalize(tape, keys));
  return softmaxGate(tape, cosines, temperature);
}

/**
 * The gate of cosines with keys.
 *
 * @param cosines [N,H,W,2L], the first L normal
 * @param temperature divides the cosines before the softmax
 * @returns gate [N,H,W] in (0, 1)
 */
export function softmaxGate(tape: Tape, cosines: Tensor, temperature: number): Tensor {
  return tape.record(gateDefinition, { cosines }, { temperature }).gate as Tensor;
}

type NoAttributes = Record<string, never>;

export const gatedResidualDefinition: Operation<NoAttributes> = {
  name: 'gated_residual',
  infer(inputs) {
    const x = need(inputs, 'x');
    if (`${x.shape}` !== `${need(inputs, 'r').shape}`) throw new Error('x and r differ in shape');
    if (elements(need(inputs, 'gate').shape) !== positions(x))
      throw new Error('gate must have a value per position');
    return { y: x };
  },
  backward({ tape, node, gradient }) {
    const { dx, dr, d_gate } = tape.record(gatedResidualGradient, { ...node.inputs, dy: gradient('y') }, {});
    return { x: dx, r: dr, gate: d_gate };
  },
  batch: { does: 'map', operands: ['x', 'r', 'gate', 'y'] },
  fusion: {
    asEpilogue({ inputs }, operand) {
      const { x, r, gate } = inputs;
      return r === operand && x !== operand ? { residual: x, gate } : undefined;
    },
  },
  lower(node, { profile, target }) {
    const x = need(node.inputs, 'x');
    const kernel = profile.kernels.gate.residualForward(problemOf(x), target);
    return [
      {
        kernel: variantOf(kernel),
        bindings: {
          x,
          r: need(node.inputs, 'r'),
          gate: need(node.inputs, 'gate'),
          y: need(node.outputs, 'y'),
        },
        uniforms: { positions: positions(x), quads: channelQuads(x) },
        workgroups: workgroupsFor(kernel, quads(x)),
        writes: ['y'],
        flops: 100 * quads(x),
      },
    ];
  },
};

const gatedResidualGradient: Operation<NoAttributes> = {
  name: 'gated_residual_gradient',
  infer: (inputs) => ({ dx: need(inputs, 'x'), dr: need(inputs, 'x'), d_gate: need(inputs, 'gate') }),
  batch: { does: 'map', operands: ['x', 'r', 'gate', 'dy', 'dx', 'dr', 'd_gate'] },
  lower(node, { profile, target }) {
    const { inputs, outputs } = node;
    const x = need(inputs, 'x');
    const kernel = profile.kernels.gate.residualGradient(problemOf(x), target);
    return [
      {
        kernel: variantOf(kernel),
        bindings: {
          x,
          r: need(inputs, 'r'),
          gate: need(inputs, 'gate'),
          dy: need(inputs, 'dy'),
          dx: need(outputs, 'dx'),
          dr: need(outputs, 'dr'),
          d_gate: need(outputs, 'd_gate'),
        },
        uniforms: { positions: positions(x), quads: channelQuads(x) },
        workgroups: workgroupsFor(kernel, positions(x)),
        writes: ['dx', 'dr', 'd_gate'],
        flops: 140 * quads(x),
      },
    ];
  },
};

/**
 * x * (1 + gate * tanh(r)).
 *
 * @param x [N,H,W,C]
 * @param r of x's shape
 * @param gate [N,H,W]
 * @returns of x's shape
 * @throws Error where the shapes do not fit
 */
export function gatedResidual(tape: Tape, x: Tensor, r: Tensor, gate: Tensor): Tensor {
  return tape.record(gatedResidualDefinition, { x, r, gate }, {}).y as Tensor;
}
