/**
 * The parameters of a model: names, shapes and where they lie. Parameters of one group lie next to each other
 * in pages, so that the optimiser updates a page in one dispatch.
 */
import { byteLength, roundUp, type TensorSpec } from './tensor.ts';

/** How a parameter's values are drawn before training. */
export type Initial =
  | { readonly kind: 'normal'; readonly deviation: number }
  | { readonly kind: 'uniform'; readonly bound: number }
  | { readonly kind: 'constant'; readonly value: number };

/** What is known of a parameter before it has values. */
export interface ParameterSpec extends TensorSpec {
  /** Unique in its set. */
  readonly name: string;
  /** Parameters of a group are trained together. */
  readonly group: string;
  /** How its values are drawn before training. */
  readonly initial: Initial;
}

/** Where a parameter lies. */
export interface PageSlot {
  /** The parameter's group. */
  readonly group: string;
  /** Number of the page in its group, from 0 on. */
  readonly page: number;
  /** In bytes, from the start of the page. */
  readonly offset: number;
  /** In bytes. */
  readonly size: number;
}

/** What a page holds: the parameters, their gradients, or Adam's moments. */
export type PageKind = 'parameter' | 'gradient' | 'first_moment' | 'second_moment';

// A page is bound whole, so it stays within WebGPU's default maxStorageBufferBindingSize of 128 MiB.
const pageLimit = 128 * 1024 * 1024;
const alignment = 256;

/**
 * The parameters of a model, in the order of their definition. The first question where one lies fixes all.
 */
export class ParameterSet {
  /** Weights of convolutions are kept as 16-bit floats: for inference only. */
  readonly half: boolean;
  readonly #specs = new Map<string, ParameterSpec>();
  #slots: Map<string, PageSlot> | undefined;
  readonly #pageSizes = new Map<string, number[]>();

  /**
   * A set without parameters; recording a model defines them.
   *
   * @param options `half`: weights of convolutions are kept as 16-bit floats, which cannot be trained
   */
  constructor(options: { readonly half?: boolean } = {}) {
    this.half = options.half ?? false;
  }

  /** Names in the order of definition. */
  get names(): string[] {
    return [...this.#specs.keys()];
  }

  /** Groups in the order of their first parameter. */
  get groups(): string[] {
    return [...new Set([...this.#specs.values()].map((spec) => spec.group))];
  }

  /** All parameters in the order of definition. */
  get specs(): ParameterSpec[] {
    return [...this.#specs.values()];
  }

  /** Whether a parameter of that name is defined. */
  has(name: string): boolean {
    return this.#specs.has(name);
  }

  /** @throws Error where no parameter has that name */
  spec(name: string): ParameterSpec {
    const spec = this.#specs.get(name);
    if (!spec) throw new Error(`unknown parameter '${name}'`);
    return spec;
  }

  /**
   * Adds a parameter. The same definition again is fine.
   *
   * @throws Error naming it, where it is defined otherwise already, or the memory layout is fixed
   */
  define(spec: ParameterSpec): void {
    const known = this.#specs.get(spec.name);
    if (known) {
      if (`${known.shape}` !== `${spec.shape}` || known.layout !== spec.layout || known.group !== spec.group)
        throw new Error(
          `parameter '${spec.name}': [${spec.shape}] does not match the earlier [${known.shape}]`,
        );
      return;
    }
    if (this.#slots) throw new Error(`parameter '${spec.name}' is defined after the memory layout was fixed`);
    const half = this.half && spec.layout === 'filter';
    this.#specs.set(spec.name, { ...spec, shape: [...spec.shape], half });
  }

  #layout(): Map<string, PageSlot> {
    if (this.#slots) return this.#slots;
    this.#slots = new Map();
    for (const spec of this.#specs.values()) {
      const size = byteLength(spec);
      const pages = this.#pageSizes.get(spec.group) ?? [0];
      this.#pageSizes.set(spec.group, pages);
      let page = pages.length - 1;
      let offset = roundUp(pages[page] as number, alignment);
      if (offset + size > pageLimit && offset > 0) {
        page = pages.push(0) - 1;
        offset = 0;
      }
      pages[page] = offset + size;
      this.#slots.set(spec.name, { group: spec.group, page, offset, size });
    }
    return this.#slots;
  }

  /**
   * Where a parameter lies; no parameter can be defined afterwards.
   *
   * @throws Error where no parameter has that name
   */
  slot(name: string): PageSlot {
    const slot = this.#layout().get(name);
    if (!slot) throw new Error(`unknown parameter '${name}'`);
    return slot;
  }

  /** Bytes of each page of a group. */
  pageSizes(group: string): readonly number[] {
    this.#layout();
    return this.#pageSizes.get(group) ?? [];
  }
}
