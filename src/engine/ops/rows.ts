/** Selected positions of a feature map as rows [1, R, 1, C], and the difference of two row sets. */
import { type Dispatch, threads } from '../select.ts';
import { need, type OpDefinition, type Tape } from '../tape.ts';
import { channelQuads, positions, quads, type Tensor } from '../tensor.ts';
import { scale } from './elementwise.ts';
import { one } from './reduce.ts';

type NoAttributes = Record<string, never>;

function rowDispatch(entry: string, rows: number, over: Tensor, bindings: Record<string, Tensor>): Dispatch {
  return {
    kernel: { module: 'rows', entry },
    bindings,
    uniforms: { rows, quads: channelQuads(over) },
    workgroups: threads(rows * channelQuads(over)),
    writes: ['output'],
  };
}

const gatherDefinition: OpDefinition<NoAttributes> = {
  name: 'gather_rows',
  infer(inputs) {
    const x = need(inputs, 'x');
    const rows = need(inputs, 'indices').shape[0] as number;
    return { y: { shape: [1, rows, 1, x.shape.at(-1) as number], layout: 'channels' } };
  },
  backward({ tape, node, gradient }) {
    const { shape } = need(node.inputs, 'x');
    return {
      x: tape.record(scatterDefinition, { x: gradient('y'), indices: need(node.inputs, 'indices') }, { shape }).y,
    };
  },
  lower(node) {
    const output = need(node.outputs, 'y');
    const bindings = { x: need(node.inputs, 'x'), indices: need(node.inputs, 'indices'), output };
    return [rowDispatch('gather', positions(output), output, bindings)];
  },
};

const scatterDefinition: OpDefinition<{ shape: readonly number[] }> = {
  name: 'scatter_rows',
  infer: (_, { shape }) => ({ y: { shape, layout: 'channels' } }),
  lower(node) {
    const output = need(node.outputs, 'y');
    const x = need(node.inputs, 'x');
    return [
      rowDispatch('clear', quads(output) / channelQuads(output), output, { output }),
      rowDispatch('scatter', positions(x), x, { x, indices: need(node.inputs, 'indices'), output }),
    ];
  },
};

const subtractDefinition: OpDefinition<NoAttributes> = {
  name: 'subtract',
  infer(inputs) {
    const x = need(inputs, 'x');
    if (`${x.shape}` !== `${need(inputs, 'other').shape}`) throw new Error('the shapes differ');
    return { y: x };
  },
  backward({ tape, gradient, needs }) {
    const dy = gradient('y') as Tensor;
    return { x: dy, other: needs('other') ? scale(tape, dy, one(tape), -1) : undefined };
  },
  lower(node) {
    const output = need(node.outputs, 'y');
    const bindings = { x: need(node.inputs, 'x'), other: need(node.inputs, 'other'), output };
    return [rowDispatch('subtract', quads(output) / channelQuads(output), output, bindings)];
  },
};

/** Rows of x [N,H,W,C] at flat position indices [R] (u32; 0xffffffff = a row of zeros; others distinct) -> [1,R,1,C]. */
export function gatherRows(tape: Tape, x: Tensor, indices: Tensor): Tensor {
  return tape.record(gatherDefinition, { x, indices }, {}).y as Tensor;
}

/** x - other. */
export function subtract(tape: Tape, x: Tensor, other: Tensor): Tensor {
  return tape.record(subtractDefinition, { x, other }, {}).y as Tensor;
}
