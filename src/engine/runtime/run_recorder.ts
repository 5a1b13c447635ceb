/**
 * Records the commands of runs: of the next one while the device works on this one, because recording is most
 * of a run's JavaScript and a command buffer serves once.
 */
import { InvalidArgumentError } from '../../base/errors.ts';
import { roundUp, unpack } from '../graph/tensor.ts';
import type { Located } from './compile.ts';
import type { Engine } from './engine.ts';
import { encodeSteps, type Step } from './steps.ts';

/** Values by output name, in the order of the output's shape. */
export type RunOutputs = Record<string, Float32Array>;

/** A run's commands. */
export interface RecordedRun {
  readonly commands: readonly GPUCommandBuffer[];
  /** What WebGPU has against them. */
  readonly verdict: Promise<void>;
  /** Where the outputs go; absent where none is read. */
  readonly staging: GPUBuffer | undefined;
  /** The outputs that it copies there. */
  readonly read: readonly string[];
}

export class RunRecorder {
  readonly #engine: Engine;
  readonly #steps: readonly Step[];
  readonly #outputs: ReadonlyMap<string, Located>;
  readonly #staging: readonly GPUBuffer[];
  #turn = 0;
  #prepared: RecordedRun | undefined;
  #preparation: ReturnType<typeof setTimeout> | undefined;
  #milliseconds = 0;
  #closed = false;

  /** @param steps what a run repeats before its outputs are copied */
  constructor(
    engine: Engine,
    steps: readonly Step[],
    outputs: ReadonlyMap<string, Located>,
    staging: readonly GPUBuffer[],
  ) {
    this.#engine = engine;
    this.#steps = steps;
    this.#outputs = outputs;
    this.#staging = staging;
  }

  /** Time that recording the last run took. */
  get milliseconds(): number {
    return this.#milliseconds;
  }

  /** @throws Error naming the output and those that there are */
  output(name: string): Located {
    const output = this.#outputs.get(name);
    if (!output)
      throw new InvalidArgumentError(
        `no output '${name}' (there are: ${[...this.#outputs.keys()].join(', ')})`,
      );
    return output;
  }

  /** The commands of a run that reads these outputs: those prepared for it, if there are any. */
  take(read: readonly string[]): RecordedRun {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    const fits = prepared?.read.length === read.length && prepared.read.every((name, i) => name === read[i]);
    return prepared && fits ? prepared : this.#record(read);
  }

  /** Records the next run when the caller waits: it will most likely read the same. */
  prepareSoon(read: readonly string[]): void {
    this.#preparation ??= setTimeout(() => {
      this.#preparation = undefined;
      if (!this.#closed && !this.#engine.isEnded) this.#prepared ??= this.#record(read);
    });
  }

  /** The outputs in a staging buffer that is mapped; unmaps it. */
  collect(staging: GPUBuffer, names: readonly string[]): RunOutputs {
    try {
      const memory = staging.getMappedRange();
      const result: RunOutputs = {};
      let offset = 0;
      for (const name of names) {
        const { tensor, range } = this.output(name);
        result[name] = unpack(new Float32Array(memory, offset, range.size / 4), tensor);
        offset += roundUp(range.size, 16);
      }
      return result;
    } finally {
      staging.unmap();
    }
  }

  /** Drops what is prepared. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#preparation);
    this.#prepared = undefined;
  }

  #record(read: readonly string[]): RecordedRun {
    const started = performance.now();
    const staging = read.length ? this.#staging[this.#turn++ % this.#staging.length] : undefined;
    const { result, verdict } = this.#engine.attempt('recording a run', () =>
      encodeSteps(this.#engine.device, this.#steps, (encoder) => {
        if (staging) this.#copyOutputs(encoder, staging, read);
      }),
    );
    this.#milliseconds = performance.now() - started;
    return { commands: result, verdict, staging, read };
  }

  #copyOutputs(encoder: GPUCommandEncoder, staging: GPUBuffer, names: readonly string[]): void {
    let offset = 0;
    for (const name of names) {
      const { range } = this.output(name);
      encoder.copyBufferToBuffer(range.buffer, range.offset, staging, offset, range.size);
      offset += roundUp(range.size, 16);
    }
  }
}
