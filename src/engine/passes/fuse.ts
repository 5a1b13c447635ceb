/**
 * Fusion: rewrites a tape into fewer operations, without changing its results beyond rounding.
 * 1. Batch norm in evaluation folds into the convolution before it.
 * 2. A fixed addend before a convolution becomes a fixed residual after it (positional encodings).
 * 3. Residual add, gated residual and ReLU after a convolution become its epilogue.
 * 4. Convolutions take the form that the target runs fastest (specialise.ts).
 * 5. Statistics of batch norms in training become an epilogue of the convolution before.
 * 6. Values of a model with 16-bit weights become 16-bit floats.
 * 7. What depends only on fixed values (folded weights, unit keys) moves to a prologue that runs once per
 *   program.
 */

import type { Target } from '../device/target.ts';
import { type Node, need, type Tape, type Tensors } from '../graph/tape.ts';
import type { Tensor } from '../graph/tensor.ts';
import { adamGroup } from '../ops/adam.ts';
import { batchNormFoldDefinition, isBatchNorm } from '../ops/batch_norm.ts';
import { isConvolution } from '../ops/conv2d.ts';
import { scaleWhereRead, useHalves, useStatistics, useTextures, useWinograd } from './specialise.ts';

export interface FusedTape {
  readonly prologue: readonly Node[];
  readonly nodes: readonly Node[];
}

/** Parameters that running the tape changes. */
function overwrittenParameters(tape: Tape): { tensors: Set<Tensor>; groups: Set<string> } {
  const tensors = new Set<Tensor>();
  const groups = new Set<string>();
  for (const node of tape.nodes) {
    for (const tensor of node.definition.overwrites?.(node) ?? []) tensors.add(tensor);
    const group = adamGroup(node);
    if (group) groups.add(group);
  }
  return { tensors, groups };
}

/** Drops nodes whose results nobody reads. */
function live(nodes: readonly Node[], outputs: readonly Tensor[], gradients: Iterable<Tensor>): Node[] {
  const read = new Set<Tensor>([...outputs, ...gradients]);
  const kept: Node[] = [];
  for (const node of [...nodes].reverse()) {
    const produced = Object.values(node.outputs);
    const effect = produced.length === 0 || (node.definition.overwrites?.(node).length ?? 0) > 0;
    if (!effect && !produced.some((tensor) => read.has(tensor))) continue;
    for (const tensor of Object.values(node.inputs)) read.add(tensor);
    kept.push(node);
  }
  return kept.reverse();
}

/**
 * @param outputs tensors that the program reads; they are never fused away
 * @param target decides the form of convolutions
 */
export function fuse(tape: Tape, outputs: readonly Tensor[], target: Target): FusedTape {
  const overwritten = overwrittenParameters(tape);
  const computed = new Set<Tensor>();
  const isFixed = (tensor: Tensor) =>
    computed.has(tensor) ||
    tensor.role === 'constant' ||
    (tensor.role === 'parameter' &&
      !overwritten.tensors.has(tensor) &&
      !overwritten.groups.has(tape.parameters.spec(tensor.name).group));

  let nodes = live(tape.nodes, outputs, tape.parameterGradients.values());
  nodes = foldBatchNorms(tape, nodes, outputs, isFixed);
  // What changes rounding stays out of trainings: five steps of stage II amplify a last bit to a per cent.
  const training = overwritten.tensors.size + overwritten.groups.size > 0;
  if (!training) nodes = foldAddends(tape, nodes, outputs, isFixed);
  nodes = fillEpilogues(nodes, outputs);
  const split = (list: readonly Node[]): FusedTape => {
    computed.clear();
    const prologue: Node[] = [];
    const main: Node[] = [];
    for (const node of list) {
      const inputs = Object.values(node.inputs);
      const results = Object.values(node.outputs);
      const constant = inputs.length > 0 && results.length > 0 && inputs.every(isFixed);
      if (constant && !results.some((tensor) => outputs.includes(tensor))) {
        for (const tensor of results) computed.add(tensor);
        prologue.push(node);
      } else main.push(node);
    }
    return { prologue, nodes: main };
  };
  split(nodes);
  if (!training) nodes = useWinograd(tape, nodes, target, isFixed);
  nodes = useStatistics(nodes, target);
  nodes = scaleWhereRead(useTextures(tape, nodes, target, training ? 'training' : 'inference'));
  return split(tape.parameters.half ? useHalves(nodes, outputs) : nodes);
}

function readers(nodes: readonly Node[]): Map<Tensor, Node[]> {
  const result = new Map<Tensor, Node[]>();
  for (const node of nodes)
    for (const tensor of new Set(Object.values(node.inputs)))
      result.set(tensor, [...(result.get(tensor) ?? []), node]);
  return result;
}

/** The one node that reads a tensor, if there is exactly one and the program does not read it too. */
function onlyReader(map: Map<Tensor, Node[]>, tensor: Tensor, outputs: readonly Tensor[]): Node | undefined {
  const list = map.get(tensor) ?? [];
  return list.length === 1 && !outputs.includes(tensor) ? list[0] : undefined;
}

function foldBatchNorms(
  tape: Tape,
  nodes: readonly Node[],
  outputs: readonly Tensor[],
  isFixed: (tensor: Tensor) => boolean,
): Node[] {
  const read = readers(nodes);
  const producer = new Map<Tensor, Node>();
  for (const node of nodes) for (const tensor of Object.values(node.outputs)) producer.set(tensor, node);
  const replaced = new Map<Node, Node[]>();
  for (const norm of nodes) {
    if (!isBatchNorm(norm) || norm.attributes.training) continue;
    const { weight, bias, running_mean, running_var, residual } = norm.inputs;
    const convolution = producer.get(need(norm.inputs, 'x'));
    const parameters = [weight, bias, running_mean, running_var] as Tensor[];
    if (!convolution || !isConvolution(convolution) || convolution.attributes.relu) continue;
    const { x, w, b } = convolution.inputs as { x: Tensor; w: Tensor; b?: Tensor };
    if (!parameters.every(isFixed) || !isFixed(w) || (b && !isFixed(b))) continue;
    const saved = need(norm.outputs, 'saved');
    if (onlyReader(read, need(convolution.outputs, 'y'), outputs) !== norm) continue;
    if (read.has(saved) || outputs.includes(saved)) continue;
    const transposed = convolution.definition.name === 'conv_transpose2d';
    const before = tape.nodes.length;
    const folded = tape.record(
      batchNormFoldDefinition,
      { w, b, weight, bias, running_mean, running_var },
      { epsilon: norm.attributes.epsilon, transposed, scaledByReaders: false },
    );
    const [fold] = tape.nodes.splice(before) as [Node];
    const inputs: Record<string, Tensor> = { x, w: folded.w as Tensor, b: folded.b as Tensor };
    if (residual) inputs.residual = residual;
    // The convolution moves to the place of the norm, where its residual exists.
    replaced.set(convolution, []);
    replaced.set(norm, [
      fold,
      {
        definition: convolution.definition,
        inputs,
        outputs: { y: need(norm.outputs, 'y') },
        attributes: { ...convolution.attributes, relu: norm.attributes.relu },
      },
    ]);
  }
  return nodes.flatMap((node) => replaced.get(node) ?? [node]);
}

/** conv(x + c) = conv(x) + conv(c): with fixed c and weights the second part is a fixed residual. */
function foldAddends(
  tape: Tape,
  nodes: readonly Node[],
  outputs: readonly Tensor[],
  isFixed: (tensor: Tensor) => boolean,
): Node[] {
  const read = readers(nodes);
  const replaced = new Map<Node, Node[]>();
  for (const sum of nodes) {
    if (sum.definition.name !== 'add') continue;
    const { a, b } = sum.inputs as { a: Tensor; b: Tensor };
    const convolution = onlyReader(read, need(sum.outputs, 'y'), outputs);
    if (!convolution || convolution.definition.name !== 'conv2d' || convolution.inputs.residual) continue;
    const w = need(convolution.inputs, 'w');
    // `b` may be of one image: so is the residual then, whatever the batch, and results do not depend on the
    // batch.
    if (!isFixed(b) || !isFixed(w)) continue;
    const before = tape.nodes.length;
    const { y } = tape.record(
      convolution.definition,
      { x: b, w },
      { ...convolution.attributes, relu: false },
    );
    const [constant] = tape.nodes.splice(before) as [Node];
    replaced.set(sum, []);
    replaced.set(convolution, [
      constant,
      { ...convolution, inputs: { ...convolution.inputs, x: a, residual: y as Tensor } },
    ]);
  }
  return nodes.flatMap((node) => replaced.get(node) ?? [node]);
}

function fillEpilogues(nodes: readonly Node[], outputs: readonly Tensor[]): Node[] {
  let current = [...nodes];
  for (let index = 0; index < current.length; ) {
    const node = current[index] as Node;
    const merged =
      isConvolution(node) &&
      mergeReader(node, onlyReader(readers(current), need(node.outputs, 'y'), outputs));
    if (!merged) {
      index++;
      continue;
    }
    // The merged node takes the reader's place, where its other operand exists.
    current = current.flatMap((other) =>
      other === node ? [] : other === merged.reader ? [merged.node] : [other],
    );
  }
  return current;
}

function mergeReader(
  node: Node & { attributes: { relu: boolean } },
  reader: Node | undefined,
): { node: Node; reader: Node } | undefined {
  if (!reader || node.attributes.relu) return undefined;
  const y = need(node.outputs, 'y');
  const result = (inputs: Tensors, relu: boolean) => ({
    reader,
    node: {
      definition: node.definition,
      inputs,
      outputs: { y: need(reader.outputs, 'y') },
      attributes: { ...node.attributes, relu },
    },
  });
  if (reader.definition.name === 'relu') return result(node.inputs, true);
  if (node.inputs.residual) return undefined;
  if (reader.definition.name === 'add') {
    const { a, b } = reader.inputs as { a: Tensor; b: Tensor };
    if (a === b || `${a.shape}` !== `${b.shape}`) return undefined;
    return result({ ...node.inputs, residual: a === y ? b : a }, false);
  }
  if (reader.definition.name === 'gated_residual' && reader.inputs.r === y && reader.inputs.x !== y) {
    const { x, gate } = reader.inputs as { x: Tensor; gate: Tensor };
    return result({ ...node.inputs, residual: x, gate }, false);
  }
  return undefined;
}
