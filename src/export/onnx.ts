/**
 * A recorded tape as an ONNX graph (operator set 18): every inference operation of the models has its rule
 * here. Tensors become NCHW, convolution weights OIHW (transposed ones IOHW).
 */

import { scoreMapGaussian } from '../../kernels/sizes.ts';
import { type Node, need, type Tape } from '../engine/graph/tape.ts';
import { elements, type Tensor, type TensorSpec } from '../engine/graph/tensor.ts';
import { gaussianNorm } from '../engine/ops/resample.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import {
  encodeOnnx,
  type OnnxAttribute,
  type OnnxGraph,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValue,
} from './onnx_schema.ts';

/** Axes of the engine's tensor in the order of the graph's. */
function axisOrder({ shape, layout }: TensorSpec): number[] {
  if (layout === 'filter') return [3, 2, 0, 1];
  return layout === 'channels' && shape.length === 4 ? [0, 3, 1, 2] : shape.map((_, axis) => axis);
}

function onnxShape(spec: TensorSpec): number[] {
  return axisOrder(spec).map((axis) => spec.shape[axis] as number);
}

/** Values in the order of the engine's shape, brought into the graph's order. */
function permute(values: Float32Array, spec: TensorSpec): Float32Array {
  const order = axisOrder(spec);
  if (order.every((axis, i) => axis === i)) return values;
  const [outer, planes, lines, length] = onnxShape(spec) as [number, number, number, number];
  const strides = order.map((axis) => elements(spec.shape.slice(axis + 1)));
  const [outerStep, planeStep, lineStep, step] = strides as [number, number, number, number];
  const result = new Float32Array(values.length);
  let next = 0;
  for (let o = 0; o < outer; o++)
    for (let p = 0; p < planes; p++)
      for (let l = 0; l < lines; l++) {
        const start = o * outerStep + p * planeStep + l * lineStep;
        for (let i = 0; i < length; i++) result[next++] = values[start + i * step] as number;
      }
  return result;
}

/** Collects nodes and initialisers; names values after tensors. */
export class GraphBuilder {
  readonly nodes: OnnxNode[] = [];
  readonly initializers: OnnxTensor[] = [];
  /** Where a score map counts, 0/1 [size, size]; undefined for all of it. */
  readonly inspected: Uint8Array | undefined;
  readonly #names = new Map<Tensor, string>();
  #next = 0;

  constructor(inspected?: Uint8Array | undefined) {
    this.inspected = inspected;
  }

  name(tensor: Tensor): string {
    const name =
      this.#names.get(tensor) ?? (tensor.role === 'value' ? `${tensor.name}.${tensor.id}` : tensor.name);
    this.#names.set(tensor, name);
    return name;
  }

  rename(tensor: Tensor, name: string): void {
    this.#names.set(tensor, name);
  }

  emit(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    output = `t${this.#next++}`,
  ): string {
    this.nodes.push({ type, inputs, outputs: [output], attributes });
    return output;
  }

  floats(values: readonly number[], shape: readonly number[] = [values.length]): string {
    return this.#constant(Float32Array.from(values), shape);
  }

  integers(values: readonly number[]): string {
    return this.#constant(BigInt64Array.from(values, BigInt), [values.length]);
  }

  #constant(values: Float32Array | BigInt64Array, shape: readonly number[]): string {
    const name = `c${this.#next++}`;
    this.initializers.push({ name, shape, values });
    return name;
  }
}

type Rule = (node: Node, graph: GraphBuilder) => void;

/** Emits the node's residual add and ReLU after `value`, and names the result. */
function finish(node: Node, graph: GraphBuilder, value: string): void {
  const { residual } = node.inputs;
  const sum = residual ? graph.emit('Add', [value, graph.name(residual)]) : value;
  const y = graph.name(need(node.outputs, 'y'));
  graph.emit(node.attributes.relu ? 'Relu' : 'Identity', [sum], {}, y);
}

function square(value: unknown): [number, number] {
  return [value as number, value as number];
}

function convolution(type: 'Conv' | 'ConvTranspose'): Rule {
  return (node, graph) => {
    const { x, w, b } = node.inputs as { x: Tensor; w: Tensor; b?: Tensor };
    const { stride, padding, dilation } = node.attributes;
    const value = graph.emit(
      type,
      [x, w, ...(b ? [b] : [])].map((tensor) => graph.name(tensor)),
      {
        strides: square(stride),
        pads: [...square(padding), ...square(padding)],
        dilations: square(dilation),
        kernel_shape: w.shape.slice(0, 2),
      },
    );
    finish(node, graph, value);
  };
}

/** sum(a * b) over channels, kept as [N, 1, H, W]. */
function channelDot(graph: GraphBuilder, a: string, b: string): string {
  return graph.emit('ReduceSum', [graph.emit('Mul', [a, b]), graph.integers([1])], { keepdims: 1 });
}

function norm(graph: GraphBuilder, x: string, axis: number, epsilon: number): string {
  return graph.emit('Max', [
    graph.emit('ReduceL2', [x, graph.integers([axis])], { keepdims: 1 }),
    graph.floats([epsilon]),
  ]);
}

/** One axis of the Gaussian with half-sample reflection: [N, 1, S, S]. */
function blurAxis(graph: GraphBuilder, x: string, size: number, axis: 2 | 3, sigma: number): string {
  const { radius, norm: scale } = gaussianNorm(sigma);
  const reflected = Array.from({ length: size + 2 * radius }, (_, i) => {
    const index = i - radius;
    return index < 0 ? -1 - index : index >= size ? 2 * size - 1 - index : index;
  });
  const padded = graph.emit('Gather', [x, graph.integers(reflected)], { axis });
  const weights = Array.from(
    { length: 2 * radius + 1 },
    (_, i) => scale * Math.exp((-0.5 * (i - radius) ** 2) / sigma ** 2),
  );
  const kernel = axis === 2 ? [weights.length, 1] : [1, weights.length];
  return graph.emit('Conv', [padded, graph.floats(weights, [1, 1, ...kernel])], { kernel_shape: kernel });
}

const scoreMapRule: Rule = (node, graph) => {
  const size = node.attributes.size as number;
  const levels = [0, 1, 2].map((level) => {
    const teacher = need(node.inputs, `teacher${level}`);
    const [a, b] = [graph.name(teacher), graph.name(need(node.inputs, `student${level}`))];
    const norms = graph.emit('Mul', [norm(graph, a, 1, 1e-8), norm(graph, b, 1, 1e-8)]);
    const cosine = graph.emit('Div', [channelDot(graph, a, b), norms]);
    const distance = graph.emit('Sub', [graph.floats([1]), cosine]);
    const sizes = graph.integers([teacher.shape[0] as number, 1, size, size]);
    return graph.emit('Resize', [distance, '', '', sizes], {
      mode: 'linear',
      coordinate_transformation_mode: 'align_corners',
    });
  });
  const sum = graph.emit('Sum', levels);
  const smooth = blurAxis(
    graph,
    blurAxis(graph, sum, size, 3, scoreMapGaussian.sigma),
    size,
    2,
    scoreMapGaussian.sigma,
  );
  const counted = graph.inspected
    ? graph.emit('Mul', [smooth, graph.floats([...graph.inspected], [1, 1, size, size])])
    : smooth;
  graph.emit('Squeeze', [counted, graph.integers([1])], {}, graph.name(need(node.outputs, 'map')));
  const largest = graph.emit('ReduceMax', [counted, graph.integers([1, 2, 3])], { keepdims: 0 });
  graph.emit('Relu', [largest], {}, graph.name(need(node.outputs, 'score')));
};

const rules: Readonly<Record<string, Rule>> = {
  conv2d: convolution('Conv'),
  conv_transpose2d: convolution('ConvTranspose'),
  batch_norm(node, graph) {
    if (node.attributes.training)
      throw new Error('only inference can be exported: this batch norm is in training');
    const inputs = ['x', 'weight', 'bias', 'running_mean', 'running_var'].map((name) =>
      graph.name(need(node.inputs, name)),
    );
    const epsilon = { float: node.attributes.epsilon as number };
    finish(node, graph, graph.emit('BatchNormalization', inputs, { epsilon }));
  },
  relu: (node, graph) => {
    graph.emit('Relu', [graph.name(need(node.inputs, 'a'))], {}, graph.name(need(node.outputs, 'y')));
  },
  add: (node, graph) => {
    const { a, b } = node.inputs as { a: Tensor; b: Tensor };
    graph.emit('Add', [graph.name(a), graph.name(b)], {}, graph.name(need(node.outputs, 'y')));
  },
  concat(node, graph) {
    const parts = Object.values(node.inputs).map((tensor) => graph.name(tensor));
    graph.emit('Concat', parts, { axis: 1 }, graph.name(need(node.outputs, 'y')));
  },
  max_pool2d(node, graph) {
    const { kernel, stride, padding } = node.attributes;
    const attributes = {
      kernel_shape: square(kernel),
      strides: square(stride),
      pads: [...square(padding), ...square(padding)],
    };
    graph.emit(
      'MaxPool',
      [graph.name(need(node.inputs, 'x'))],
      attributes,
      graph.name(need(node.outputs, 'y')),
    );
  },
  global_average_pool(node, graph) {
    graph.emit(
      'GlobalAveragePool',
      [graph.name(need(node.inputs, 'x'))],
      {},
      graph.name(need(node.outputs, 'y')),
    );
  },
  l2_normalize(node, graph) {
    const x = need(node.inputs, 'x');
    // The normalised axis, the engine's last, is the graph's axis 0 in weights and 1 in activations.
    const length = norm(
      graph,
      graph.name(x),
      x.layout === 'filter' ? 0 : 1,
      node.attributes.epsilon as number,
    );
    graph.emit('Div', [graph.name(x), length], {}, graph.name(need(node.outputs, 'y')));
  },
  softmax_gate(node, graph) {
    const cosines = need(node.inputs, 'cosines');
    const items = cosines.shape[3] as number;
    const scaled = graph.emit('Div', [
      graph.name(cosines),
      graph.floats([node.attributes.temperature as number]),
    ]);
    const probabilities = graph.emit('Softmax', [scaled], { axis: 1 });
    const range = [[items / 2], [items], [1]].map((values) => graph.integers(values));
    const abnormal = graph.emit('Slice', [probabilities, ...range]);
    const gate = graph.name(need(node.outputs, 'gate'));
    graph.emit('ReduceSum', [abnormal, graph.integers([1])], { keepdims: 0 }, gate);
  },
  gated_residual(node, graph) {
    const { x, r, gate } = node.inputs as { x: Tensor; r: Tensor; gate: Tensor };
    const open = graph.emit('Unsqueeze', [graph.name(gate), graph.integers([1])]);
    const change = graph.emit('Mul', [open, graph.emit('Tanh', [graph.name(r)])]);
    const factor = graph.emit('Add', [change, graph.floats([1])]);
    graph.emit('Mul', [graph.name(x), factor], {}, graph.name(need(node.outputs, 'y')));
  },
  score_map: scoreMapRule,
};

export interface OnnxOptions {
  readonly name: string;
  readonly version: string;
  /** Outputs of the graph by name. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Where a score map counts, 0/1 [size, size]: elsewhere it is 0; undefined for all of it. */
  readonly inspected?: Uint8Array | undefined;
  /** Nodes around the tape's, instead of its own inputs and outputs. */
  readonly surround?: {
    /** Emits the nodes that make the tape's inputs; returns the graph's. */
    before(graph: GraphBuilder): readonly OnnxValue[];
    /** Emits the nodes after the tape's outputs; returns the graph's. */
    after(graph: GraphBuilder): readonly OnnxValue[];
  };
}

/**
 * Exports the inference that a tape records, with the parameters that a store holds.
 *
 * @returns the bytes of an .onnx file; inputs keep their names, as NCHW
 * @throws Error naming the operation, where one has no ONNX form here (training steps)
 */
export async function exportOnnx(
  tape: Tape,
  store: ParameterStore,
  options: OnnxOptions,
): Promise<Uint8Array> {
  return encodeOnnx(await onnxGraph(tape, store, options), options.version);
}

/** The graph that {@link exportOnnx} writes. */
export async function onnxGraph(tape: Tape, store: ParameterStore, options: OnnxOptions): Promise<OnnxGraph> {
  const graph = new GraphBuilder(options.inspected);
  for (const [name, tensor] of Object.entries(options.outputs)) graph.rename(tensor, name);
  const inputs = options.surround?.before(graph);
  const parameters = new Set<Tensor>();
  for (const node of tape.nodes) {
    const rule = rules[node.definition.name];
    if (!rule) throw new Error(`the operation '${node.definition.name}' has no ONNX form`);
    rule(node, graph);
    for (const tensor of Object.values(node.inputs)) if (tensor.role === 'parameter') parameters.add(tensor);
  }
  const outputs = options.surround?.after(graph);
  const values = await store.read([...parameters].map(({ name }) => name));
  for (const tensor of parameters)
    graph.initializers.push({
      name: graph.name(tensor),
      shape: onnxShape(tensor),
      values: permute(values.get(tensor.name) as Float32Array, tensor),
    });
  for (const [tensor, data] of tape.constants)
    graph.initializers.push({
      name: graph.name(tensor),
      shape: onnxShape(tensor),
      values: permute(Float32Array.from(data), tensor),
    });
  return {
    name: options.name,
    nodes: graph.nodes,
    initializers: graph.initializers,
    inputs: inputs ?? tape.inputs.map((tensor) => ({ name: tensor.name, shape: onnxShape(tensor) })),
    outputs:
      outputs ??
      Object.entries(options.outputs).map(([name, tensor]) => ({ name, shape: onnxShape(tensor) })),
    metadata: options.metadata ?? {},
  };
}
