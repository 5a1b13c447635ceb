/** A tape as text, for tests and `--verbose`. */
import type { Node } from './tape.ts';
import type { Tensor } from './tensor.ts';

function printTensor(tensor: Tensor): string {
  const sign =
    tensor.role === 'value' ? '%' : tensor.role === 'parameter' ? '@' : tensor.role === 'input' ? '$' : '#';
  const name = tensor.role === 'value' ? tensor.id : tensor.name;
  return `${sign}${name}[${tensor.shape.join('x')}${tensor.half ? ' f16' : ''}]`;
}

/**
 * A readable listing: outputs = op(inputs) {attributes}. A tensor is a value (%), a parameter (@), an input
 * ($) or a constant (#), with its shape, and `f16` where it is kept in 16 bits.
 */
export function printNodes(nodes: readonly Node[]): string {
  return nodes
    .map((node) => {
      const outputs = Object.values(node.outputs).map(printTensor).join(', ');
      const inputs = Object.entries(node.inputs)
        .map(([key, tensor]) => `${key}=${printTensor(tensor)}`)
        .join(', ');
      const attributes = Object.entries(node.attributes)
        .map(([key, value]) => `${key}=${Array.isArray(value) ? `[${value}]` : value}`)
        .join(' ');
      return `${outputs} = ${node.definition.name}(${inputs})${attributes ? ` {${attributes}}` : ''}`;
    })
    .join('\n');
}
