/**
 * An ONNX graph as a Python function of PyTorch's operations, one line per node: the same network for the
 * peer, as its users write it.
 */
import type { OnnxGraph, OnnxNode } from '../../src/export/onnx_schema.ts';

/** A weight or table, in the order of the function's list `p`. */
export interface TorchParameter {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export interface TorchProgram {
  /** Defines `network(images, p)`, which returns the graph's outputs in their order. */
  readonly source: string;
  readonly parameters: readonly TorchParameter[];
}

type Rule = (node: OnnxNode, x: readonly string[], integers: (input: number) => number[]) => string;

const list = (values: readonly number[]) => `(${values.join(', ')},)`;
const ints = (node: OnnxNode, name: string, otherwise: readonly number[]) =>
  list((node.attributes[name] as readonly number[] | undefined) ?? otherwise);
/** Both sides of an axis have the same padding in our graphs. */
const padding = (node: OnnxNode) =>
  list(((node.attributes.pads as readonly number[] | undefined) ?? [0, 0, 0, 0]).slice(0, 2));
const keeps = (node: OnnxNode) => (node.attributes.keepdims ? 'True' : 'False');

function binary(operator: string): Rule {
  return (_, [a, b]) => `${a} ${operator} ${b}`;
}

const rules: Readonly<Record<string, Rule>> = {
  Conv: (node, [x, w, b]) =>
    `F.conv2d(${x}, ${w}, ${b ?? 'None'}, ${ints(node, 'strides', [1, 1])}, ${padding(node)}, ` +
    `${ints(node, 'dilations', [1, 1])})`,
  ConvTranspose: (node, [x, w, b]) =>
    `F.conv_transpose2d(${x}, ${w}, ${b ?? 'None'}, ${ints(node, 'strides', [1, 1])}, ${padding(node)})`,
  BatchNormalization: (node, [x, weight, bias, mean, variance]) =>
    `F.batch_norm(${x}, ${mean}, ${variance}, ${weight}, ${bias}, False, 0.0, ` +
    `${(node.attributes.epsilon as { float: number }).float})`,
  MaxPool: (node, [x]) =>
    `F.max_pool2d(${x}, ${ints(node, 'kernel_shape', [])}, ${ints(node, 'strides', [1, 1])}, ` +
    `${padding(node)})`,
  GlobalAveragePool: (_, [x]) => `${x}.mean((2, 3), keepdim=True)`,
  Relu: (_, [x]) => `F.relu(${x})`,
  Identity: (_, [x]) => `${x}`,
  Tanh: (_, [x]) => `torch.tanh(${x})`,
  Add: binary('+'),
  Sub: binary('-'),
  Mul: binary('*'),
  Div: binary('/'),
  Sum: (_, x) => x.join(' + '),
  Max: (_, [a, b]) => `torch.maximum(${a}, ${b})`,
  Concat: (node, x) => `torch.cat((${x.join(', ')}), ${node.attributes.axis})`,
  Softmax: (node, [x]) => `F.softmax(${x}, ${node.attributes.axis})`,
  ReduceSum: (node, [x], integers) => `${x}.sum(${list(integers(1))}, keepdim=${keeps(node)})`,
  ReduceMax: (node, [x], integers) => `${x}.amax(${list(integers(1))}, keepdim=${keeps(node)})`,
  ReduceL2: (node, [x], integers) =>
    `torch.linalg.vector_norm(${x}, dim=${list(integers(1))}, keepdim=${keeps(node)})`,
  Unsqueeze: (_, [x], integers) => `${x}.unsqueeze(${integers(1)[0]})`,
  Squeeze: (_, [x], integers) => `${x}.squeeze(${integers(1)[0]})`,
  Slice: (_, [x], integers) => {
    const [[start], [end], [axis]] = [integers(1), integers(2), integers(3)] as [
      number[],
      number[],
      number[],
    ];
    return `${x}.narrow(${axis}, ${start}, ${(end as number) - (start as number)})`;
  },
  // Indices are whole numbers below 2^24, which floats hold.
  Gather: (node, [x, indices]) => `${x}.index_select(${node.attributes.axis}, ${indices}.long())`,
  Resize: (node, [x], integers) => {
    if (node.attributes.coordinate_transformation_mode !== 'align_corners')
      throw new Error('only the score map resizes, with aligned corners');
    return `F.interpolate(${x}, size=${list(integers(3).slice(2))}, mode="bilinear", align_corners=True)`;
  },
};

/** @throws Error naming a type of node that has no line here */
export function torchProgram(graph: OnnxGraph): TorchProgram {
  const parameters: TorchParameter[] = [];
  const names = new Map<string, string>(graph.inputs.map(({ name }) => [name, name]));
  const tables = new Map(graph.initializers.map((tensor) => [tensor.name, tensor]));
  const named = (name: string): string => {
    const known = names.get(name);
    if (known) return known;
    const tensor = tables.get(name);
    if (!tensor) throw new Error(`the graph has no value '${name}'`);
    const text = `p[${parameters.length}]`;
    parameters.push({
      shape: tensor.shape,
      values:
        tensor.values instanceof Float32Array ? tensor.values : Float32Array.from(tensor.values, Number),
    });
    names.set(name, text);
    return text;
  };
  const lines = graph.nodes.map((node, i) => {
    const rule = rules[node.type];
    if (!rule) throw new Error(`no line of PyTorch for a node of type ${node.type}`);
    const integers = (input: number) =>
      Array.from(tables.get(node.inputs[input] as string)?.values ?? [], Number);
    // Whole numbers that shape the result are written into the line; only Gather reads them from memory.
    const isOperand = (name: string) =>
      name !== '' && (node.type === 'Gather' || !(tables.get(name)?.values instanceof BigInt64Array));
    const text = rule(node, node.inputs.filter(isOperand).map(named), integers);
    const result = `v${i}`;
    names.set(node.outputs[0] as string, result);
    return `    ${result} = ${text}`;
  });
  const results = graph.outputs.map(({ name }) => named(name)).join(', ');
  const [input] = graph.inputs;
  const source = [
    'import torch',
    'import torch.nn.functional as F',
    '',
    '',
    `def network(${input?.name}, p):`,
    ...lines,
    `    return ${results}`,
    '',
  ];
  return { source: source.join('\n'), parameters };
}
