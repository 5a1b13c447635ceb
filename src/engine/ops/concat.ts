/** Concatenation along channels, and its gradient (slices). */
import { type Dispatch, threads } from '../dispatch.ts';
import { need, type Tape } from '../graph/tape.ts';
import { channelQuads, positions, type Tensor } from '../graph/tensor.ts';
import type { Operation } from './operation.ts';

function channels(tensor: Tensor): number {
  return tensor.shape.at(-1) as number;
}

/** Copies `count` channels; the copy that reaches the destination's last channel also writes its padding. */
function copy(
  source: Tensor,
  sourceOffset: number,
  output: Tensor,
  targetOffset: number,
  count: number,
): Dispatch {
  const end = targetOffset + count;
  const copied = end === channels(output) ? channelQuads(output) * 4 - targetOffset : count;
  const pixels = positions(output);
  return {
    kernel: { module: 'channels', entry: 'main' },
    bindings: { source, output },
    uniforms: {
      pixels,
      copied,
      channels: count,
      source_stride: channelQuads(source) * 4,
      source_offset: sourceOffset,
      target_stride: channelQuads(output) * 4,
      target_offset: targetOffset,
    },
    workgroups: threads(pixels * copied),
    writes: ['output'],
  };
}

/** Whether one dispatch can join them. */
function wholeQuads(list: readonly Tensor[]): boolean {
  return (list.length === 2 || list.length === 3) && list.every((tensor) => channels(tensor) % 4 === 0);
}

/** All parts in one dispatch. */
function joinQuads(parts: readonly Tensor[], output: Tensor): Dispatch {
  const uniforms: Record<string, number> = { pixels: positions(output) };
  const bindings: Record<string, Tensor> = {};
  parts.forEach((part, i) => {
    uniforms[`quads${i}`] = channelQuads(part);
    bindings[`x${i}`] = part;
  });
  return {
    kernel: {
      module: 'concat',
      entry: 'main',
      conditions: { three: parts.length === 3, half: output.half ?? false },
    },
    bindings: { ...bindings, output },
    uniforms,
    workgroups: threads(positions(output) * channelQuads(output)),
    writes: ['output'],
  };
}

// Named because a range of the batch has to be taken of every one of them.
const parts = ['x0', 'x1', 'x2', 'x3'];

const concatDefinition: Operation<Record<string, never>> = {
  name: 'concat',
  infer(inputs) {
    const list = Object.values(inputs);
    if (list.length > parts.length)
      throw new Error(`at most ${parts.length} tensors can be joined, not ${list.length}`);
    const first = need(inputs, 'x0');
    if (list.some((tensor) => `${tensor.shape.slice(0, -1)}` !== `${first.shape.slice(0, -1)}`))
      throw new Error('the shapes differ outside of the channels');
    const total = list.reduce((sum, tensor) => sum + channels(tensor), 0);
    return { y: { shape: [...first.shape.slice(0, -1), total], layout: 'channels' } };
  },
  backward({ tape, node, gradient, needs }) {
    const result: Record<string, Tensor | undefined> = {};
    let offset = 0;
    for (const [name, tensor] of Object.entries(node.inputs)) {
      if (needs(name))
        result[name] = tape.record(
          sliceDefinition,
          { x: gradient('y') },
          { offset, count: channels(tensor) },
        ).y;
      offset += channels(tensor);
    }
    return result;
  },
  half: ({ inputs }) =>
    wholeQuads(Object.values(inputs))
      ? { inputs: Object.keys(inputs), outputs: ['y'], alike: true }
      : { inputs: [], outputs: [] },
  batch: { does: 'map', operands: [...parts, 'y'] },
  lower(node) {
    const list = Object.values(node.inputs);
    if (wholeQuads(list)) return [joinQuads(list, need(node.outputs, 'y'))];
    let offset = 0;
    return Object.values(node.inputs).map((tensor) => {
      const dispatch = copy(tensor, 0, need(node.outputs, 'y'), offset, channels(tensor));
      offset += channels(tensor);
      return dispatch;
    });
  },
};

const sliceDefinition: Operation<{ offset: number; count: number }> = {
  name: 'slice_channels',
  infer: (inputs, { count }) => ({
    y: { shape: [...need(inputs, 'x').shape.slice(0, -1), count], layout: 'channels' },
  }),
  batch: { does: 'map', operands: ['x', 'y'] },
  lower: (node) => [
    copy(need(node.inputs, 'x'), node.attributes.offset, need(node.outputs, 'y'), 0, node.attributes.count),
  ],
};

/**
 * Tensors one after the other along their channels.
 *
 * @param tensors up to four, [N,H,W,C0], [N,H,W,C1], ...
 * @returns [N,H,W,C0+C1+...]
 */
export function concat(tape: Tape, tensors: readonly Tensor[]): Tensor {
  return tape.record(concatDefinition, Object.fromEntries(tensors.map((tensor, i) => [`x${i}`, tensor])), {})
    .y as Tensor;
}
