/**
 * Operations whose tensors are larger than the device binds at once: they run once per range of images, and
 * each run binds that range alone. An operation takes part by saying in `Operation.batch` what it does over a
 * batch.
 */
import { UnsupportedError } from '../../base/errors.ts';
import type { LoweringContext } from '../device/context.ts';
import { type Binding, type Dispatch, isTensor } from '../dispatch.ts';
import type { Node, Tensors } from '../graph/tape.ts';
import { byteLength, quads, roundUp, type Tensor, type View } from '../graph/tensor.ts';
import { type BatchOperands, type BatchRange, operationOf } from '../ops/operation.ts';
import { sumPartials } from '../ops/partials.ts';
import { scratch } from '../ops/scratch.ts';

// WebGPU's alignment of a binding's offset.
const alignment = 256;

/** The node's tensors that hold one entry per image. */
function batchTensors(node: Node, { operands }: BatchOperands): { tensors: Set<Tensor>; batch: number } {
  const named = operands
    .map((name) => node.inputs[name] ?? node.outputs[name])
    .filter((tensor) => tensor !== undefined);
  const batch = Math.max(...named.map(({ shape }) => shape[0] as number));
  // An operand of one image serves every image.
  return { tensors: new Set(named.filter(({ shape }) => shape[0] === batch)), batch };
}

/** The most images whose ranges all fit a binding and begin where one may begin. */
function imagesPerPart(node: Node, tensors: ReadonlySet<Tensor>, batch: number, limit: number): number {
  const bytes = [...tensors].map((tensor) => byteLength(tensor) / batch);
  let count = Math.min(batch, ...bytes.map((size) => Math.floor(limit / size)));
  while (count > 0 && bytes.some((size) => (count * size) % alignment !== 0)) count--;
  if (count > 0) return count;
  const largest = [...tensors].reduce((a, b) => (byteLength(b) > byteLength(a) ? b : a));
  throw new UnsupportedError(
    `${node.definition.name}: one image of tensor ${largest.name} [${largest.shape}] needs ` +
      `${byteLength(largest) / batch} bytes, and this device binds ${limit} at once, ` +
      `from multiples of ${alignment} on: ` +
      'use a smaller image size',
  );
}

/** Quads from one part's sum to the next. */
function stride(sum: Tensor): number {
  return roundUp(quads(sum), alignment / 16);
}

/** Points a binding of a stand-in to the range that it stands for. */
function resolve(binding: Binding, ranges: ReadonlyMap<Tensor, View>): Binding {
  if ('kind' in binding) return binding;
  const range = ranges.get(isTensor(binding) ? binding : binding.tensor);
  if (!range) return binding;
  return isTensor(binding)
    ? range
    : { tensor: range.tensor, offset: range.offset + binding.offset, size: binding.size };
}

/** The ranges of a batch that are bound one after the other. */
function batchRanges(batch: number, step: number): BatchRange[] {
  return Array.from({ length: Math.ceil(batch / step) }, (_, part) => {
    const first = part * step;
    const images = Math.min(step, batch - first);
    const of = (tensor: Tensor): View => {
      const bytes = byteLength(tensor) / batch;
      return { tensor, offset: first * bytes, size: images * bytes };
    };
    return { first, images, share: images / batch, of };
  });
}

/** The dispatches of a node, range by range. */
export function lowerInParts(node: Node, context: LoweringContext): Dispatch[] {
  const rule = operationOf(node).batch as BatchOperands;
  const { tensors, batch } = batchTensors(node, rule);
  const step = imagesPerPart(node, tensors, batch, context.target.maxStorageBufferBindingSize);
  if (rule.does === 'phases') return rule.lower(node, batchRanges(batch, step), context);
  const parts = Math.ceil(batch / step);
  const sums = new Map<Tensor, Tensor>();
  if (rule.does === 'sum')
    for (const output of Object.values(node.outputs))
      sums.set(output, scratch(`${node.definition.name}.parts`, [parts, stride(output) * 4]));
  const dispatches: Dispatch[] = [];
  for (let part = 0; part < parts; part++) {
    const first = part * step;
    const count = Math.min(step, batch - first);
    const ranges = new Map<Tensor, View>();
    const standIns = (list: Tensors): Tensors =>
      Object.fromEntries(
        Object.entries(list).map(([name, tensor]) => {
          const sum = sums.get(tensor);
          if (!sum && !tensors.has(tensor)) return [name, tensor];
          const shape = sum ? tensor.shape : [count, ...tensor.shape.slice(1)];
          const standIn = scratch(tensor.name, shape, tensor.layout, tensor.half);
          const size = byteLength(standIn);
          const offset = sum ? part * stride(tensor) * 16 : first * (byteLength(tensor) / batch);
          ranges.set(standIn, { tensor: sum ?? tensor, offset, size });
          return [name, standIn];
        }),
      );
    const own = { ...node, inputs: standIns(node.inputs), outputs: standIns(node.outputs) };
    for (const dispatch of operationOf(node).lower(own, context)) {
      const bindings = Object.entries(dispatch.bindings).map(([name, binding]) => [
        name,
        resolve(binding, ranges),
      ]);
      dispatches.push({ ...dispatch, bindings: Object.fromEntries(bindings) });
    }
  }
  for (const [output, sum] of sums) dispatches.push(sumPartials(sum, output, parts, context, stride(output)));
  return dispatches;
}
