/** Checks and writes the inputs of a run. */
import { InvalidArgumentError } from '../../base/errors.ts';
import { type Packed, pack } from '../graph/tensor.ts';
import type { LocatedInput } from './compile.ts';
import type { Engine } from './engine.ts';

/** Values by input name, in the order of the input's shape: floats, or whole numbers where it holds those. */
export type RunInputs = Readonly<Record<string, Float32Array | Uint32Array>>;

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
   * @throws Error naming the input, where one is missing or of another type or length; none is written then
   */
  write(inputs: RunInputs): void {
    const packed = [...this.#inputs].map(([name, { tensor, range, words }]) => {
      const values = inputs[name];
      if (values === undefined || values === null)
        throw new InvalidArgumentError(`input '${name}' [${tensor.shape}] is missing`);
      const wanted = words ? 'Uint32Array' : 'Float32Array';
      const found = Object.prototype.toString.call(values).slice(8, -1);
      if (found !== wanted)
        throw new InvalidArgumentError(`input '${name}' [${tensor.shape}] takes a ${wanted}, not ${found}`);
      return { name, range, values, bytes: pack(values, tensor, `input '${name}'`, this.#packed.get(name)) };
    });
    for (const { name, range, values, bytes } of packed) {
      if (bytes !== values) this.#packed.set(name, bytes);
      this.#engine.write(range.buffer, range.offset, bytes);
    }
  }
}
