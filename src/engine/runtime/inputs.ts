/** Checks and writes the inputs of a run. */
import { InvalidArgumentError } from '../../base/errors.ts';
import { byteLength, elements, type Packed, pack, type Tensor } from '../graph/tensor.ts';
import type { LocatedInput } from './compile.ts';
import type { Engine } from './engine.ts';
import type { Range } from './memory.ts';

/** Values of an input from the host: floats, or whole numbers where it holds those. */
export type HostValues = Float32Array | Uint32Array;

/**
 * Values by input name, in the order of the input's shape. A list holds equal parts of an input along its
 * first dimension: values, or ranges on the device where they lie as in the input's memory
 * ({@link Program.keep}).
 */
export type RunInputs = Readonly<Record<string, HostValues | readonly (HostValues | Range)[]>>;

interface Write {
  readonly range: Range;
  readonly bytes: Packed;
}

interface Copy {
  readonly from: Range;
  readonly to: Range;
}

function isRange(part: HostValues | Range): part is Range {
  return 'buffer' in part && 'size' in part && 'offset' in part;
}

export class InputWriter {
  readonly #engine: Engine;
  readonly #inputs: ReadonlyMap<string, LocatedInput>;
  // Padded inputs of the last run, written again by the next.
  readonly #packed = new Map<string, Packed>();

  constructor(engine: Engine, inputs: ReadonlyMap<string, LocatedInput>) {
    this.#engine = engine;
    this.#inputs = inputs;
  }

  /**
   * Writes what comes from the host.
   *
   * @returns the commands that copy what is on the device already; none where nothing is
   * @throws Error naming the input, where one is missing or of another type or length; none is written then
   */
  write(inputs: RunInputs): GPUCommandBuffer[] {
    const writes: Write[] = [];
    const copies: Copy[] = [];
    for (const [name, input] of this.#inputs) {
      const { tensor, range } = input;
      const values = inputs[name];
      if (values === undefined || values === null)
        throw new InvalidArgumentError(`input '${name}' [${tensor.shape}] is missing`);
      if (Array.isArray(values)) this.#parts(name, input, values, writes, copies);
      else writes.push({ range, bytes: this.#pack(name, tensor, input, values as HostValues, name) });
    }
    for (const { range, bytes } of writes) this.#engine.write(range.buffer, range.offset, bytes);
    if (!copies.length) return [];
    const encoder = this.#engine.device.createCommandEncoder();
    for (const { from, to } of copies)
      encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, to.size);
    return [encoder.finish()];
  }

  #parts(
    name: string,
    input: LocatedInput,
    parts: readonly (HostValues | Range)[],
    writes: Write[],
    copies: Copy[],
  ): void {
    const { tensor, range, partial } = input;
    if (parts.some((part) => typeof part !== 'object' || part === null)) this.#check(name, input, parts);
    const [first = 1, ...rest] = tensor.shape;
    const own = { ...tensor, shape: [first / parts.length, ...rest] };
    if (!parts.length || first % parts.length)
      throw new InvalidArgumentError(
        `input '${name}' [${tensor.shape}]: ${parts.length} parts, expected a divisor of ${first}`,
      );
    const size = byteLength(own);
    parts.forEach((part, i) => {
      const to = { buffer: range.buffer, offset: range.offset + i * size, size };
      if (isRange(part)) {
        if (part.size !== size)
          throw new InvalidArgumentError(
            `input '${name}' [${tensor.shape}]: part ${i + 1} of ${parts.length} has ${part.size} bytes on ` +
              `the device, expected ${size}`,
          );
        copies.push({ from: part, to });
      } else if (partial && part.length < elements(own.shape)) {
        this.#check(name, input, part);
        if (part.length) writes.push({ range: to, bytes: part });
      } else writes.push({ range: to, bytes: this.#pack(name, own, input, part, `${name} ${i}`) });
    });
  }

  #check(name: string, { tensor, words }: LocatedInput, values: unknown): void {
    const wanted = words ? 'Uint32Array' : 'Float32Array';
    const found = Object.prototype.toString.call(values).slice(8, -1);
    if (found !== wanted)
      throw new InvalidArgumentError(`input '${name}' [${tensor.shape}] takes a ${wanted}, not ${found}`);
  }

  #pack(name: string, spec: Tensor, input: LocatedInput, values: HostValues, key: string): Packed {
    this.#check(name, input, values);
    const bytes = pack(values, spec, `input '${name}'`, this.#packed.get(key));
    if (bytes !== values) this.#packed.set(key, bytes);
    return bytes;
  }
}
