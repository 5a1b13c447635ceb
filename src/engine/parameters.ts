/**
 * The parameters of a model: a pure description (ParameterSet) and their memory on a device (ParameterStore).
 * Parameters of one group lie next to each other in pages, so that the optimiser updates a page in one dispatch.
 */
import type { Engine } from './device.ts';
import { ClosedError } from './errors.ts';
import { byteLength, pack, roundUp, type TensorSpec, unpack } from './tensor.ts';
import { allDone } from './watch.ts';

/** How a parameter's values are drawn before training. */
export type Initial =
  | { readonly kind: 'normal'; readonly deviation: number }
  | { readonly kind: 'uniform'; readonly bound: number }
  | { readonly kind: 'constant'; readonly value: number };

export interface ParameterSpec extends TensorSpec {
  readonly name: string;
  /** Parameters of a group are trained together. */
  readonly group: string;
  readonly initial: Initial;
}

export interface PageSlot {
  readonly group: string;
  readonly page: number;
  readonly offset: number;
  readonly size: number;
}

/** What a page holds: the parameters, their gradients, or Adam's moments. */
export type PageKind = 'parameter' | 'gradient' | 'first_moment' | 'second_moment';

// A page is bound whole, so it stays within WebGPU's default maxStorageBufferBindingSize of 128 MiB.
const pageLimit = 128 * 1024 * 1024;
const alignment = 256;

export class ParameterSet {
  /** Weights of convolutions are kept as 16-bit floats: for inference only. */
  readonly half: boolean;
  readonly #specs = new Map<string, ParameterSpec>();
  #slots: Map<string, PageSlot> | undefined;
  readonly #pageSizes = new Map<string, number[]>();

  constructor(options: { readonly half?: boolean } = {}) {
    this.half = options.half ?? false;
  }

  get names(): string[] {
    return [...this.#specs.keys()];
  }

  get groups(): string[] {
    return [...new Set([...this.#specs.values()].map((spec) => spec.group))];
  }

  get specs(): ParameterSpec[] {
    return [...this.#specs.values()];
  }

  has(name: string): boolean {
    return this.#specs.has(name);
  }

  spec(name: string): ParameterSpec {
    const spec = this.#specs.get(name);
    if (!spec) throw new Error(`unknown parameter '${name}'`);
    return spec;
  }

  /** Adds a parameter; the same definition again is fine, another one or one after the layout is fixed is an error. */
  define(spec: ParameterSpec): void {
    const known = this.#specs.get(spec.name);
    if (known) {
      if (`${known.shape}` !== `${spec.shape}` || known.layout !== spec.layout || known.group !== spec.group)
        throw new Error(`parameter '${spec.name}': [${spec.shape}] does not match the earlier [${known.shape}]`);
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

export class ParameterStore {
  readonly engine: Engine;
  readonly set: ParameterSet;
  readonly #pages = new Map<string, GPUBuffer>();
  // What the device has not answered yet, or refused: a store with a part missing stays unusable.
  readonly #verdicts = new Set<Promise<void>>();
  #destroyed = false;

  /** @throws Error where the set keeps 16-bit floats and the device has none */
  constructor(engine: Engine, set: ParameterSet) {
    engine.check();
    if (set.half && !engine.device.features.has('shader-f16'))
      throw new Error('this device has no 16-bit floats (shader-f16): use f32');
    this.engine = engine;
    this.set = set;
  }

  /** @throws ClosedError where the store is closed */
  check(): void {
    if (this.#destroyed) throw new ClosedError('the parameters are closed: their memory was freed');
  }

  #attempt<T>(what: string, work: () => T): T {
    const { result, verdict } = this.engine.attempt(what, work);
    this.#verdicts.add(verdict);
    verdict.then(
      () => this.#verdicts.delete(verdict),
      () => {},
    );
    return result;
  }

  /**
   * Resolves when the device has taken everything that was created and written so far.
   *
   * @throws OutOfMemoryError, or Error with WebGPU's message; then the store is unusable and can only be destroyed
   */
  async ready(): Promise<void> {
    this.check();
    await this.engine.guard(allDone([...this.#verdicts]));
  }

  /** The buffer of a page, created with zeros on first use. */
  page(group: string, page: number, kind: PageKind): GPUBuffer {
    this.check();
    const key = `${group}/${page}/${kind}`;
    let buffer = this.#pages.get(key);
    if (!buffer) {
      const size = this.set.pageSizes(group)[page];
      if (size === undefined) throw new Error(`parameter group '${group}' has no page ${page}`);
      buffer = this.#attempt(`the parameters' memory (${key}, ${size} bytes)`, () => {
        const created = this.engine.createBuffer(key, size);
        const encoder = this.engine.device.createCommandEncoder();
        encoder.clearBuffer(created);
        this.engine.device.queue.submit([encoder.finish()]);
        return created;
      });
      this.#pages.set(key, buffer);
    }
    return buffer;
  }

  /** Writes a parameter (or one of Adam's moments); values in the order of its shape. */
  write(name: string, values: Float32Array, kind: PageKind = 'parameter'): void {
    const spec = this.set.spec(name);
    const slot = this.set.slot(name);
    const packed = pack(values, spec, `parameter '${name}'`);
    const page = this.page(slot.group, slot.page, kind);
    this.#attempt(`writing parameter '${name}'`, () => this.engine.write(page, slot.offset, packed));
  }

  /** Reads parameters (or moments) back, one transfer per page. */
  async read(names: readonly string[], kind: PageKind = 'parameter'): Promise<Map<string, Float32Array>> {
    await this.ready();
    const pages = new Map<string, Float32Array>();
    const result = new Map<string, Float32Array>();
    for (const name of names) {
      const slot = this.set.slot(name);
      const key = `${slot.group}/${slot.page}`;
      let data = pages.get(key);
      if (!data) {
        data = await this.engine.read(this.page(slot.group, slot.page, kind));
        pages.set(key, data);
      }
      const memory = data.subarray(slot.offset / 4, (slot.offset + slot.size) / 4);
      result.set(name, unpack(memory, this.set.spec(name)));
    }
    return result;
  }

  /** GPU bytes of all pages. */
  get bytes(): number {
    return [...this.#pages.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** Frees the memory; later calls, also of programs that use it, reject with a ClosedError. */
  destroy(): void {
    this.#destroyed = true;
    for (const buffer of this.#pages.values()) buffer.destroy();
    this.#pages.clear();
  }
}
