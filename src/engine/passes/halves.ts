/**
 * Keeps values as 16-bit floats wherever every operation that touches them can. What the program reads,
 * vectors over channels and everything between zero and one (gates, cosines, maps) stay in 32 bits.
 */
import { type HalfOperands, type Node, need, type Tensors } from '../graph/tape.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Pass, PassContext } from './pass.ts';

/** @throws Error naming an operation that would read a 16-bit parameter and cannot */
function run(nodes: readonly Node[], { read }: PassContext): Node[] {
  const chosen = new Set<Tensor>();
  const operands = nodes.map((node) => node.definition.half?.(node) ?? { inputs: [], outputs: [] });
  nodes.forEach((node, i) => {
    for (const name of operands[i]?.outputs ?? []) {
      const tensor = need(node.outputs, name);
      const large = tensor.layout === 'texture' || tensor.shape.length === 4;
      if (large && !read.has(tensor)) chosen.add(tensor);
    }
  });
  const isHalf = (tensor: Tensor) => tensor.half || chosen.has(tensor);
  for (let before = -1; before !== chosen.size; ) {
    before = chosen.size;
    nodes.forEach((node, i) => {
      const able = operands[i] as HalfOperands;
      for (const [name, tensor] of Object.entries(node.inputs)) {
        if (able.inputs.includes(name)) continue;
        if (tensor.half)
          throw new Error(`${node.definition.name} cannot read 16-bit floats (${name}, ${tensor.name})`);
        chosen.delete(tensor);
      }
      const list = [
        ...able.inputs.map((name) => node.inputs[name]),
        ...able.outputs.map((name) => node.outputs[name]),
      ].filter((tensor) => tensor !== undefined);
      if (able.alike && !list.every(isHalf)) for (const tensor of list) chosen.delete(tensor);
    });
  }
  const halved = new Map([...chosen].map((tensor) => [tensor, { ...tensor, half: true }]));
  const renamed = (tensors: Tensors) =>
    Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, halved.get(tensor) ?? tensor]));
  return nodes.map((node) => ({ ...node, inputs: renamed(node.inputs), outputs: renamed(node.outputs) }));
}

export const halves: Pass = { name: 'halves', applies: ({ half }) => half, run };
