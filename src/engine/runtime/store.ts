/** The memory of a parameter set on a device. */
import { ClosedError, InvalidArgumentError, UnsupportedError } from '../../base/errors.ts';
import type { PageKind, ParameterSet } from '../graph/parameter_set.ts';
import { pack, unpack } from '../graph/tensor.ts';
import type { Engine } from './engine.ts';
import { allDone } from './watch.ts';

/**
 * The values of a parameter set, with gradients and moments; programs of the set share it. Zeros at first.
 */
export class ParameterStore {
  /** Whose memory it is in. */
  readonly engine: Engine;
  /** What it holds the values of. */
  readonly set: ParameterSet;
  readonly #pages = new Map<string, GPUBuffer>();
  // What the device has not answered yet, or refused: a store with a part missing stays unusable.
  readonly #verdicts = new Set<Promise<void>>();
  #destroyed = false;

  /** @throws Error where the set keeps 16-bit floats and the device has none */
  constructor(engine: Engine, set: ParameterSet) {
    engine.check();
    if (set.half && !engine.device.features.has('shader-f16'))
      throw new UnsupportedError('this device has no 16-bit floats (shader-f16): use f32');
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
   * @throws OutOfMemoryError, or Error with WebGPU's message; then the store is unusable and can only be
   *   destroyed
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
      if (size === undefined)
        throw new InvalidArgumentError(`parameter group '${group}' has no page ${page}`);
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
