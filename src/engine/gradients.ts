/**
 * Reverse-mode differentiation of a tape: appends the operations that compute gradients, only those that are
 * needed.
 */

import type { Node, Tape } from './graph/tape.ts';
import type { Tensor } from './graph/tensor.ts';
import { accumulate } from './ops/elementwise.ts';

/**
 * Appends the gradients of `outputs` (each seeded with a tensor of its own shape) to the tape.
 *
 * @param seeds gradient of the final objective with respect to each output
 * @param wanted tensors whose gradient is asked for: parameters, or inputs in tests
 * @returns the gradient of every wanted tensor; absent where no path leads from it to an output
 * @throws Error naming the operation, where a path crosses one that has no backward rule; for 16-bit
 *   parameters
 */
export function gradients(
  tape: Tape,
  seeds: ReadonlyMap<Tensor, Tensor>,
  wanted: readonly Tensor[],
): Map<Tensor, Tensor> {
  const half = wanted.find((tensor) => tensor.half);
  if (half) throw new Error(`gradients: ${half.name} is kept in 16 bits, which only inference can use`);
  const recorded = [...tape.nodes];
  const needed = new Set<Tensor>(wanted);
  for (const node of recorded)
    if (Object.values(node.inputs).some((tensor) => needed.has(tensor)))
      for (const output of Object.values(node.outputs)) needed.add(output);

  const found = new Map<Tensor, Tensor>(seeds);
  for (let index = recorded.length - 1; index >= 0; index--) {
    const node = recorded[index] as Node;
    if (!Object.values(node.outputs).some((tensor) => found.has(tensor))) continue;
    if (!Object.values(node.inputs).some((tensor) => needed.has(tensor))) continue;
    if (!node.definition.backward)
      throw new Error(`gradients: '${node.definition.name}' has no backward rule`);
    const contributions = node.definition.backward({
      tape,
      node,
      gradient: (name) => {
        const output = node.outputs[name];
        return output && found.get(output);
      },
      needs: (name) => {
        const input = node.inputs[name];
        return input !== undefined && needed.has(input);
      },
    });
    for (const [name, contribution] of Object.entries(contributions)) {
      const input = node.inputs[name];
      if (!contribution || !input || !needed.has(input)) continue;
      const earlier = found.get(input);
      found.set(input, earlier ? accumulate(tape, earlier, contribution) : contribution);
    }
  }
  const result = new Map<Tensor, Tensor>();
  for (const tensor of wanted) {
    const gradient = found.get(tensor);
    if (gradient) result.set(tensor, gradient);
  }
  return result;
}
