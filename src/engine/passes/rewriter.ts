/**
 * Rewrites a list of nodes: every node has a place, and a pass puts others into it. The list that it began
 * with stays as it is.
 */
import { type Attributes, makeNode, type Node, type OpDefinition } from '../graph/tape.ts';
import type { Tensor, TensorSpec } from '../graph/tensor.ts';
import type { PassContext } from './pass.ts';

export class Rewriter implements Iterable<Node> {
  readonly #places: Node[][];
  readonly #placeOf = new Map<Node, number>();
  readonly #readers = new Map<Tensor, Set<Node>>();
  readonly #producers = new Map<Tensor, Node>();
  #nextId = 0;

  constructor(nodes: readonly Node[]) {
    this.#places = nodes.map((node) => [node]);
    nodes.forEach((node, place) => {
      this.#add(node, place);
    });
  }

  /** The nodes as they stand now. */
  get nodes(): Node[] {
    return this.#places.flat();
  }

  /** Place by place; what replaces a node at a later place is met there, at an earlier place not any more. */
  *[Symbol.iterator](): Iterator<Node> {
    for (const place of this.#places) yield* [...place];
  }

  /** The nodes that read a tensor. */
  readers(tensor: Tensor): Node[] {
    return [...(this.#readers.get(tensor) ?? [])];
  }

  /** The one node that reads a tensor, if there is exactly one and nothing else reads it. */
  onlyReader(tensor: Tensor, { read }: PassContext): Node | undefined {
    const readers = this.readers(tensor);
    return readers.length === 1 && !read.has(tensor) ? readers[0] : undefined;
  }

  /** Whether a node or anything else reads a tensor. */
  isRead(tensor: Tensor, { read }: PassContext): boolean {
    return read.has(tensor) || this.readers(tensor).length > 0;
  }

  /** The node that computes a tensor; none for inputs, parameters and constants. */
  producer(tensor: Tensor): Node | undefined {
    return this.#producers.get(tensor);
  }

  /**
   * A new node with outputs of its own, which stands nowhere until it replaces another.
   *
   * @throws Error naming the operation and its inputs, where their shapes do not fit
   */
  record<A extends Attributes>(
    definition: OpDefinition<A>,
    inputs: Readonly<Record<string, Tensor | undefined>>,
    attributes: A,
  ): Node {
    const prefix = `${definition.name}.${this.#nextId}`;
    return makeNode(definition, inputs, attributes, (name, spec) => this.tensor(`${prefix}.${name}`, spec));
  }

  /** A new tensor, for a node that gets one more output. */
  tensor(name: string, { shape, layout, half }: TensorSpec): Tensor {
    return { id: this.#nextId++, name, role: 'value', shape: [...shape], layout, half };
  }

  /** Puts nodes, in this order, into the place of another; none leave it empty. */
  replace(node: Node, ...replacements: readonly Node[]): void {
    const place = this.#placeOf.get(node);
    if (place === undefined) throw new Error(`${node.definition.name} does not stand in this list`);
    this.#remove(node);
    const nodes = this.#places[place] as Node[];
    nodes.splice(nodes.indexOf(node), 1, ...replacements);
    for (const replacement of replacements) this.#add(replacement, place);
  }

  #add(node: Node, place: number): void {
    this.#placeOf.set(node, place);
    for (const tensor of Object.values(node.inputs)) {
      this.#see(tensor);
      const readers = this.#readers.get(tensor);
      if (readers) readers.add(node);
      else this.#readers.set(tensor, new Set([node]));
    }
    for (const tensor of Object.values(node.outputs)) {
      this.#see(tensor);
      this.#producers.set(tensor, node);
    }
  }

  #remove(node: Node): void {
    this.#placeOf.delete(node);
    for (const tensor of Object.values(node.inputs)) this.#readers.get(tensor)?.delete(node);
    for (const tensor of Object.values(node.outputs))
      if (this.#producers.get(tensor) === node) this.#producers.delete(tensor);
  }

  /** New tensors get numbers above those of all others. */
  #see({ id }: Tensor): void {
    this.#nextId = Math.max(this.#nextId, id + 1);
  }
}
