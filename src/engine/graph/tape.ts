/**
 * The tape: a flat list of operations over tensors with static shapes. Model code records it; nothing runs
 * while recording. Everything that follows (gradients, fusion, kernel selection, placement) is a pure
 * function over this list.
 */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { Initial, ParameterSet } from './parameter_set.ts';
import type { Layout, Role, Tensor, TensorSpec } from './tensor.ts';

/** A constant of an operation: plain data, so that a tape can be printed and exported. */
export type AttributeValue = number | boolean | string | readonly number[] | readonly string[];
/** The constants of an operation, by name. */
export type Attributes = Readonly<Record<string, AttributeValue>>;
/** Tensors by the names that an operation gives them. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** What a backward rule sees: the node, the gradients of its outputs and which inputs need one. */
export interface BackwardContext<A extends Attributes> {
  /** Where the rule records its operations. */
  readonly tape: Tape;
  /** The node whose gradients are wanted. */
  readonly node: Node<A>;
  /** Gradient of an output, or undefined where nothing depends on it. */
  gradient(output: string): Tensor | undefined;
  /** Whether the gradient of an input is wanted. */
  needs(input: string): boolean;
}

/** What the tape knows of an operation: its shape rule, its backward rule, and what it overwrites. */
export interface OpDefinition<A extends Attributes = Attributes> {
  /** In prints, errors and profiles. */
  readonly name: string;
  /** Output shapes and layouts; throws an Error that names the offending shape. */
  infer(inputs: Tensors, attributes: A): Record<string, TensorSpec>;
  /**
   * Records the gradient operations; returns gradients by input name. Absent: the operation has no gradient.
   */
  backward?(context: BackwardContext<A>): Record<string, Tensor | undefined>;
  /** Parameters that the operation overwrites. Absent: none. */
  overwrites?(node: Node<A>): Overwritten;
  /**
   * Inputs and outputs that may be 16-bit floats; `alike`: all of them or none. Absent: none may.
   */
  half?(node: Node<A>): HalfOperands;
  /** Inputs that hold whole numbers (u32); all others hold floats. */
  readonly words?: readonly string[];
  /**
   * Inputs of which a run may give the beginning of each entry of the first dimension alone; another input
   * says how much of it counts.
   */
  readonly partial?: readonly string[];
}

/** Parameters that an operation overwrites: single ones, or every one of a group. */
export interface Overwritten {
  /** Single parameters. */
  readonly tensors?: readonly Tensor[];
  /** Groups of which every parameter is overwritten. */
  readonly groups?: readonly string[];
}

/** Inputs and outputs, by name, that may be 16-bit floats. */
export interface HalfOperands {
  /** Names of inputs. */
  readonly inputs: readonly string[];
  /** Names of outputs. */
  readonly outputs: readonly string[];
  /** All of them are 16-bit floats, or none is. */
  readonly alike?: boolean;
}

/** One recorded operation. */
export interface Node<A extends Attributes = Attributes> {
  /** What is done. */
  readonly definition: OpDefinition<A>;
  /** With what. */
  readonly inputs: Tensors;
  /** What comes of it. */
  readonly outputs: Tensors;
  /** With which constants. */
  readonly attributes: A;
}

/**
 * A node that stands in no list.
 *
 * @param makeTensor makes an output, by the name that the operation gives it
 * @throws Error naming the operation and its inputs, where their shapes do not fit
 */
export function makeNode<A extends Attributes>(
  definition: OpDefinition<A>,
  inputs: Readonly<Record<string, Tensor | undefined>>,
  attributes: A,
  makeTensor: (name: string, spec: TensorSpec) => Tensor,
): Node {
  const given: Record<string, Tensor> = {};
  for (const [name, tensor] of Object.entries(inputs)) if (tensor) given[name] = tensor;
  let specs: Record<string, TensorSpec>;
  try {
    specs = definition.infer(given, attributes);
  } catch (error) {
    const shapes = Object.entries(given).map(([name, tensor]) => `${name} ${tensor.name}[${tensor.shape}]`);
    throw new InvalidArgumentError(`${definition.name}(${shapes.join(', ')}): ${(error as Error).message}`);
  }
  const outputs: Record<string, Tensor> = {};
  // Values begin as 32-bit floats, whatever the operand that they take their shape from.
  for (const [name, spec] of Object.entries(specs))
    outputs[name] = makeTensor(name, { ...spec, half: false });
  // Method-style members of OpDefinition make this safe: a node's attributes are always those of its
  // definition.
  return { definition, inputs: given, outputs, attributes } as unknown as Node;
}

/** The tensor of that name, or an error that lists the names that there are. */
export function need(tensors: Tensors, name: string): Tensor {
  const tensor = tensors[name];
  if (!tensor)
    throw new InvalidArgumentError(`no tensor '${name}' (there are: ${Object.keys(tensors).join(', ')})`);
  return tensor;
}

const zeros: Initial = { kind: 'constant', value: 0 };

/** What a model records its operations on. */
export class Tape {
  /** Where the tape's parameters are defined; tapes of one model share it. */
  readonly parameters: ParameterSet;
  /** The operations in their order. */
  readonly nodes: Node[] = [];
  /** The tensors whose values are given at every run. */
  readonly inputs: Tensor[] = [];
  /** Tensors with fixed values. */
  readonly constants = new Map<Tensor, Float32Array | Uint32Array>();
  /** Gradient tensors that live beside their parameter, for the optimiser. */
  readonly parameterGradients = new Map<Tensor, Tensor>();
  /** Whether programs rather take little memory and start soon than run as fast as they can. */
  compact = false;
  readonly #parameterTensors = new Map<string, Tensor>();
  #nextId = 0;

  /**
   * An empty tape.
   *
   * @param parameters where the tape's parameters are defined
   */
  constructor(parameters: ParameterSet) {
    this.parameters = parameters;
  }

  /**
   * A tensor, without anything that computes it: what operations are made of. Models use {@link Tape.input},
   * {@link Tape.parameter}, {@link Tape.constant} and the functions of operations.
   *
   * @throws Error naming the tensor, where a size is not a whole number of at least 1
   */
  tensor(name: string, spec: TensorSpec, role: Role): Tensor {
    if (!spec.shape.every((size) => Number.isSafeInteger(size) && size > 0))
      throw new InvalidArgumentError(
        `tensor ${name} [${spec.shape}]: every size must be a whole number of at least 1`,
      );
    return { id: this.#nextId++, name, role, shape: [...spec.shape], layout: spec.layout, half: spec.half };
  }

  /**
   * A tensor whose values are given at every run, under its name.
   *
   * @throws Error where the name is taken
   */
  input(name: string, shape: readonly number[], layout: Layout): Tensor {
    if (this.inputs.some((input) => input.name === name))
      throw new InvalidArgumentError(`input '${name}' is declared twice`);
    const tensor = this.tensor(name, { shape, layout }, 'input');
    this.inputs.push(tensor);
    return tensor;
  }

  /**
   * A parameter, defined in the tape's parameter set at its first use; the same tensor at every later one.
   *
   * @param group parameters of a group are trained together
   * @param initial how its values are drawn by `initialize`; zeros by default
   * @throws Error where it is already defined with another shape, layout or group
   */
  parameter(
    name: string,
    shape: readonly number[],
    layout: Layout,
    group: string,
    initial: Initial = zeros,
  ): Tensor {
    this.parameters.define({ name, shape, layout, group, initial });
    let tensor = this.#parameterTensors.get(name);
    if (!tensor) {
      tensor = this.tensor(name, this.parameters.spec(name), 'parameter');
      this.#parameterTensors.set(name, tensor);
    }
    return tensor;
  }

  /** The parameters of a group that this tape has used, in the order of their first use. */
  parametersOf(group: string): Tensor[] {
    return [...this.#parameterTensors.values()].filter(
      ({ name }) => this.parameters.spec(name).group === group,
    );
  }

  /**
   * A tensor with fixed values.
   *
   * @param values in the order of the shape
   */
  constant(
    name: string,
    shape: readonly number[],
    layout: Layout,
    values: Float32Array | Uint32Array,
  ): Tensor {
    const tensor = this.tensor(name, { shape, layout }, 'constant');
    this.constants.set(tensor, values);
    return tensor;
  }

  /**
   * Appends an operation.
   *
   * @param inputs by the names that the operation gives them; undefined ones are left out
   * @returns its outputs by name
   * @throws Error naming the operation and its inputs, where their shapes do not fit
   */
  record<A extends Attributes>(
    definition: OpDefinition<A>,
    inputs: Record<string, Tensor | undefined>,
    attributes: A,
  ): Record<string, Tensor> {
    const prefix = `${definition.name}.${this.nodes.length}`;
    const node = makeNode(definition, inputs, attributes, (name, spec) =>
      this.tensor(`${prefix}.${name}`, spec, 'value'),
    );
    this.nodes.push(node);
    return { ...node.outputs };
  }
}
