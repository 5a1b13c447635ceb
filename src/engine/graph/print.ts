/** A tape as text, for tests and `--verbose`. */
import type { Node } from './tape.ts';
import type { Tensor } from './tensor.ts';

function printTensor(tensor: Tensor): string {
  const sign =
    tensor.role === 'value' ? '%' : tensor.role === 'parameter' ? '@' : tensor.role === 'input' ? '$' : '#';
  return `${sign}${tensor.role === 'value' ? tensor.id : tensor.name}[${tensor.shape.join('x')}]`;
}

/** A readable listing: outputs = op(inputs) {attributes}. */
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
