/** Selected positions of a feature map as rows [1, R, 1, C], and the difference of two row sets. */
import { type Binding, type Dispatch, threads } from '../dispatch.ts';
import { type Node, need, type Tape } from '../graph/tape.ts';
import { channelQuads, positions, quads, type Tensor } from '../graph/tensor.ts';
import { scale } from './elementwise.ts';
import { type BatchRange, type Operation, wholeBatch } from './operation.ts';
import { one } from './reduce.ts';

type NoAttributes = Record<string, never>;

function rowDispatch(entry: string, rows: number, over: Tensor, bindings: Record<string, Binding>): Dispatch {
  return {
    kernel: { module: 'rows', entry },
    bindings,
    uniforms: { rows, quads: channelQuads(over) },
    workgroups: threads(rows * channelQuads(over)),
    writes: ['output'],
  };
}

/** A dispatch over rows whose indices point into a range of the images of `map`. */
function rangeDispatch(
  entry: string,
  rows: number,
  map: Tensor,
  range: BatchRange,
  bindings: Record<string, Binding>,
): Dispatch {
  const perImage = positions(map) / (map.shape[0] as number);
  const dispatch = rowDispatch(entry, rows, map, bindings);
  const { uniforms } = dispatch;
  return {
    ...dispatch,
    uniforms: { ...uniforms, first: range.first * perImage, positions: range.images * perImage },
  };
}

const gatherDefinition: Operation<NoAttributes> = {
  name: 'gather_rows',
  infer(inputs) {
    const x = need(inputs, 'x');
    const rows = need(inputs, 'indices').shape[0] as number;
    return { y: { shape: [1, rows, 1, x.shape.at(-1) as number], layout: 'channels' } };
  },
  backward({ tape, node, gradient }) {
    const { shape } = need(node.inputs, 'x');
    return {
      x: tape.record(
        scatterDefinition,
        { x: gradient('y'), indices: need(node.inputs, 'indices') },
        { shape },
      ).y,
    };
  },
  words: ['indices'],
  batch: { does: 'phases', operands: ['x'], lower: lowerGather },
  lower: (node) => lowerGather(node, [wholeBatch(need(node.inputs, 'x'))]),
};

function lowerGather({ inputs, outputs }: Node<NoAttributes>, ranges: readonly BatchRange[]): Dispatch[] {
  const x = need(inputs, 'x');
  const output = need(outputs, 'y');
  return ranges.map((range) =>
    rangeDispatch('gather', positions(output), x, range, {
      x: range.of(x),
      indices: need(inputs, 'indices'),
      output,
    }),
  );
}

type ScatterAttributes = { readonly shape: readonly number[] };

const scatterDefinition: Operation<ScatterAttributes> = {
  name: 'scatter_rows',
  infer: (_, { shape }) => ({ y: { shape, layout: 'channels' } }),
  words: ['indices'],
  batch: { does: 'phases', operands: ['y'], lower: lowerScatter },
  lower: (node) => lowerScatter(node, [wholeBatch(need(node.outputs, 'y'))]),
};

function lowerScatter(
  { inputs, outputs }: Node<ScatterAttributes>,
  ranges: readonly BatchRange[],
): Dispatch[] {
  const y = need(outputs, 'y');
  const x = need(inputs, 'x');
  const perImage = positions(y) / (y.shape[0] as number);
  return ranges.flatMap((range) => {
    const output = range.of(y);
    return [
      rowDispatch('clear', range.images * perImage, y, { output }),
      rangeDispatch('scatter', positions(x), y, range, { x, indices: need(inputs, 'indices'), output }),
    ];
  });
}

const subtractDefinition: Operation<NoAttributes> = {
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

/**
 * The channels of chosen positions.
 *
 * @param x [N,H,W,C]
 * @param indices [R], dense, whole numbers: positions in 0..N*H*W-1, each at most once, or 0xffffffff for a
 *   row of zeros
 * @returns [1,R,1,C]
 */
export function gatherRows(tape: Tape, x: Tensor, indices: Tensor): Tensor {
  return tape.record(gatherDefinition, { x, indices }, {}).y as Tensor;
}

/**
 * x - other.
 *
 * @param x [N,H,W,C]
 * @param other of x's shape
 * @returns of x's shape
 */
export function subtract(tape: Tape, x: Tensor, other: Tensor): Tensor {
  return tape.record(subtractDefinition, { x, other }, {}).y as Tensor;
}
