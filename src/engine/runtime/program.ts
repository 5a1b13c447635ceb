/**
 * A program: a frozen list of dispatches with their bind groups, one uniform arena and statically placed
 * memory. `run` writes inputs, submits and reads what was asked for; it creates no GPU object. An inference
 * pass is one program, and so is a whole training step.
 */

import { ClosedError } from '../../base/errors.ts';
import { boundTensor, dispatchBytes } from '../dispatch.ts';
import type { Tape } from '../graph/tape.ts';
import { elements, type Packed, pack, roundUp, type Tensor, unpack } from '../graph/tensor.ts';
import { fuse } from '../passes/index.ts';
import { selectProgram } from '../plan/lower.ts';
import type { PlaceResult } from '../plan/place.ts';
import { dispatchesOf, printPlan } from '../plan/plan.ts';
import type { Engine } from './engine.ts';
import { allocate, OwnedMemory, type Range } from './memory.ts';
import { runPrologue } from './prologue.ts';
import { buildSteps, encodeAlone, encodeSteps, type Step, submit } from './steps.ts';
import type { ParameterStore } from './store.ts';
import { allDone } from './watch.ts';

export type RunInputs = Readonly<Record<string, Float32Array | Uint32Array>>;
export type RunOutputs = Record<string, Float32Array>;

export interface ProgramOptions {
  /** Tensors that runs may read, by the name that they are read under. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly store: ParameterStore;
  /** Executes dispatch by dispatch and throws at the first non-finite value, naming it. Slow. */
  readonly debug?: boolean;
  /** Told after each pipeline: how many of how many are ready. */
  readonly onProgress?: (ready: number, total: number) => void;
}

/** Time of one dispatch, from {@link Program.profile}. */
export interface ProfileEntry {
  readonly operation: string;
  readonly kernel: string;
  readonly milliseconds: number;
  readonly flops: number;
  readonly bytes: number;
}

interface Located {
  readonly tensor: Tensor;
  readonly range: Range;
}

interface Input extends Located {
  /** Whole numbers (Uint32Array); otherwise floats. */
  readonly words: boolean;
}

/** A run's commands, recorded before the run is asked for. */
interface PreparedRun {
  readonly commands: readonly GPUCommandBuffer[];
  /** What WebGPU has against them. */
  readonly verdict: Promise<void>;
  /** Where the outputs go. */
  readonly staging: GPUBuffer | undefined;
  /** The outputs that it copies there. */
  readonly read: readonly string[];
}

const stagingRing = 3;

interface ProgramFields {
  readonly engine: Engine;
  readonly store: ParameterStore;
  readonly steps: readonly Step[];
  readonly prologue: readonly Step[];
  readonly inputs: ReadonlyMap<string, Input>;
  readonly outputs: ReadonlyMap<string, Located>;
  readonly staging: readonly GPUBuffer[];
  readonly owned: OwnedMemory;
  readonly memory: PlaceResult;
  readonly plan: string;
  readonly debug: boolean;
  readonly locate: (tensor: Tensor) => Range;
}

export class Program {
  readonly engine: Engine;
  readonly #store: ParameterStore;
  readonly #steps: readonly Step[];
  readonly #prologue: readonly Step[];
  readonly #inputs: ReadonlyMap<string, Input>;
  readonly #outputs: ReadonlyMap<string, Located>;
  readonly #owned: OwnedMemory;
  readonly #staging: readonly GPUBuffer[];
  // Padded inputs of the last run, written again by the next.
  readonly #packed = new Map<string, Packed>();
  readonly #debug: boolean;
  readonly #locate: (tensor: Tensor) => Range;
  readonly #runsAtOnce: number;
  #turn = 0;
  #prepared: PreparedRun | undefined;
  #preparation: ReturnType<typeof setTimeout> | undefined;
  #recordingMilliseconds = 0;
  #inFlight: Promise<unknown>[] = [];
  #destroyed = false;
  /** Arena sizes, placements and the liveness lower bound. */
  readonly memory: PlaceResult;
  /** One line per dispatch. */
  readonly plan: string;

  private constructor(fields: ProgramFields) {
    this.engine = fields.engine;
    this.#store = fields.store;
    this.#steps = fields.steps;
    this.#prologue = fields.prologue;
    this.#inputs = fields.inputs;
    this.#outputs = fields.outputs;
    this.#owned = fields.owned;
    this.#staging = fields.staging;
    this.memory = fields.memory;
    this.plan = fields.plan;
    this.#debug = fields.debug;
    this.#locate = fields.locate;
    // A run that is checked waits between its dispatches.
    this.#runsAtOnce = fields.debug ? 1 : 2;
  }

  /** Kernel launches of one run. */
  get dispatchCount(): number {
    return this.#steps.filter((step) => step.dispatch.kernel !== 'copy').length;
  }

  /** Different kernels of a run and its prologue. */
  get pipelineCount(): number {
    const labels = [...this.#prologue, ...this.#steps].map(({ label }) => label);
    return new Set(labels.filter((label) => label !== 'copy')).size;
  }

  /** Time that recording the last prepared run took. */
  get recordingMilliseconds(): number {
    return this.#recordingMilliseconds;
  }

  /** Copies into textures of one run. */
  get copyCount(): number {
    return this.#steps.length - this.dispatchCount;
  }

  /** Arithmetic of one run, and the bytes of every operand of every kernel. */
  get cost(): { flops: number; bytes: number } {
    const cost = { flops: 0, bytes: 0 };
    for (const { dispatch } of this.#steps) {
      cost.flops += dispatch.flops ?? 0;
      cost.bytes += dispatchBytes(dispatch);
    }
    return cost;
  }

  /** GPU bytes that this program allocated, without the parameters. */
  get bytes(): number {
    return this.#owned.bytes;
  }

  /**
   * Fuses, selects, places and compiles a tape; runs the prologue (folded weights) once.
   *
   * @throws Error naming the tensor that is too large for the device, the kernel that does not compile, or
   *   with WebGPU's message; OutOfMemoryError; DeviceLostError and ClosedError where the engine or the store
   *   has ended. What was allocated is freed again.
   */
  static async compile(engine: Engine, tape: Tape, options: ProgramOptions): Promise<Program> {
    engine.check();
    const owned = new OwnedMemory(engine);
    try {
      return new Program(await compileFields(engine, tape, options, owned));
    } catch (error) {
      owned.destroy();
      throw error;
    }
  }

  #check(): void {
    if (this.#destroyed) throw new ClosedError('the program is closed');
    this.engine.check();
    this.#store.check();
  }

  /** Recomputes what was derived from the parameters (folded weights). Call after writing parameters. */
  async refresh(): Promise<void> {
    this.#check();
    await this.#store.ready();
    if (!this.#prologue.length) return;
    const { device } = this.engine;
    const { verdict } = this.engine.attempt('preparing the weights of a program', () =>
      submit(device, encodeSteps(device, this.#prologue)),
    );
    await this.engine.guard(verdict);
  }

  #writeInputs(inputs: RunInputs): void {
    // All are checked before the first is written.
    const packed = [...this.#inputs].map(([name, { tensor, range, words }]) => {
      const values = inputs[name];
      if (values === undefined || values === null)
        throw new Error(`input '${name}' [${tensor.shape}] is missing`);
      const wanted = words ? 'Uint32Array' : 'Float32Array';
      const found = Object.prototype.toString.call(values).slice(8, -1);
      if (found !== wanted)
        throw new Error(`input '${name}' [${tensor.shape}] takes a ${wanted}, not ${found}`);
      return { name, range, values, bytes: pack(values, tensor, `input '${name}'`, this.#packed.get(name)) };
    });
    for (const { name, range, values, bytes } of packed) {
      if (bytes !== values) this.#packed.set(name, bytes);
      this.engine.write(range.buffer, range.offset, bytes);
    }
  }

  #output(name: string): Located {
    const output = this.#outputs.get(name);
    if (!output) throw new Error(`no output '${name}' (there are: ${[...this.#outputs.keys()].join(', ')})`);
    return output;
  }

  /**
   * One run. Resolves with the named outputs (all by default) in the order of their shapes.
   * At most two runs are in flight: a third waits.
   *
   * @throws Error on an input that is missing or of another type or length, an output that does not exist, or
   *   with WebGPU's message; the next run is not affected. DeviceLostError, or ClosedError where program,
   *   parameters or engine are closed.
   */
  async run(inputs: RunInputs, read: readonly string[] = [...this.#outputs.keys()]): Promise<RunOutputs> {
    this.#check();
    for (const name of read) this.#output(name);
    while (this.#inFlight.length >= this.#runsAtOnce) await this.#inFlight[0];
    this.#check();
    const work = this.#execute(inputs, read);
    const entry = work.then(
      () => {},
      () => {},
    );
    this.#inFlight.push(entry);
    entry.then(() => {
      this.#inFlight = this.#inFlight.filter((other) => other !== entry);
    });
    return work;
  }

  /** Writes the inputs and submits before its first wait, but for a program that is checked. */
  async #execute(inputs: RunInputs, read: readonly string[]): Promise<RunOutputs> {
    if (this.#debug) {
      this.#writeInputs(inputs);
      await this.#runChecked();
    }
    const prepared = this.#takePrepared(read);
    const { staging } = prepared;
    const { device } = this.engine;
    const { result, verdict } = this.engine.attempt('a run', () => {
      if (!this.#debug) this.#writeInputs(inputs);
      submit(device, prepared.commands);
      return staging ? staging.mapAsync(GPUMapMode.READ) : device.queue.onSubmittedWorkDone();
    });
    this.#prepareSoon(read);
    const done = allDone([prepared.verdict, verdict, result]);
    try {
      await this.engine.guard(done, 'a run failed');
    } catch (error) {
      if (staging) result.then(() => staging.unmap()).catch(() => {});
      throw this.#destroyed ? new ClosedError('the program was closed during a run') : error;
    }
    return staging ? this.#collect(staging, read) : {};
  }

  /** Records a run. Recording is most of a run's JavaScript, and a command buffer serves once. */
  #prepare(read: readonly string[]): PreparedRun {
    const started = performance.now();
    const staging = read.length ? this.#staging[this.#turn++ % stagingRing] : undefined;
    const { result, verdict } = this.engine.attempt('recording a run', () =>
      encodeSteps(this.engine.device, this.#debug ? [] : this.#steps, (encoder) => {
        if (staging) this.#copyOutputs(encoder, staging, read);
      }),
    );
    this.#recordingMilliseconds = performance.now() - started;
    return { commands: result, verdict, staging, read };
  }

  /** Records the next run while the device works on this one: it will most likely read the same. */
  #prepareSoon(read: readonly string[]): void {
    this.#preparation ??= setTimeout(() => {
      this.#preparation = undefined;
      if (!this.#destroyed && !this.engine.isEnded) this.#prepared ??= this.#prepare(read);
    });
  }

  #takePrepared(read: readonly string[]): PreparedRun {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    const fits = prepared?.read.length === read.length && prepared.read.every((name, i) => name === read[i]);
    return prepared && fits ? prepared : this.#prepare(read);
  }

  #copyOutputs(encoder: GPUCommandEncoder, staging: GPUBuffer, names: readonly string[]): void {
    let offset = 0;
    for (const name of names) {
      const { range } = this.#output(name);
      encoder.copyBufferToBuffer(range.buffer, range.offset, staging, offset, range.size);
      offset += roundUp(range.size, 16);
    }
  }

  /** The outputs in a buffer that is mapped. */
  #collect(staging: GPUBuffer, names: readonly string[]): RunOutputs {
    try {
      const memory = staging.getMappedRange();
      const result: RunOutputs = {};
      let offset = 0;
      for (const name of names) {
        const { tensor, range } = this.#output(name);
        result[name] = unpack(new Float32Array(memory, offset, range.size / 4), tensor);
        offset += roundUp(range.size, 16);
      }
      return result;
    } finally {
      staging.unmap();
    }
  }

  async #runChecked(): Promise<void> {
    for (const step of this.#steps) {
      submit(this.engine.device, encodeSteps(this.engine.device, [step]));
      for (const name of step.dispatch.writes) {
        const binding = step.dispatch.bindings[name];
        const tensor = binding && boundTensor(binding);
        // Textures hold copies and transforms of values that are checked where they lie in buffers.
        if (!tensor || tensor.layout === 'texture') continue;
        const range = this.#locate(tensor);
        const count = tensor.layout === 'dense' ? elements(tensor.shape) : range.size / 4;
        const memory = await this.engine.read(range.buffer, range.offset, range.size);
        const bad = tensor.half
          ? new Uint16Array(memory.buffer).findIndex((value) => (value & 0x7c00) === 0x7c00)
          : new Uint32Array(memory.buffer, 0, count).findIndex(
              (value) => (value & 0x7f800000) === 0x7f800000,
            );
        if (bad >= 0 && tensor.role !== 'input')
          throw new Error(
            `non-finite value in ${name} of ${step.operation} (kernel ${step.label}), tensor ${tensor.name} ` +
              `[${tensor.shape}], element ${bad} of its memory`,
          );
      }
    }
  }

  /** Runs once with a timestamp around every dispatch. Throws where the adapter has no timestamps. */
  async profile(inputs: RunInputs): Promise<ProfileEntry[]> {
    const { device } = this.engine;
    if (!device.features.has('timestamp-query')) throw new Error('this adapter offers no timestamp queries');
    this.#writeInputs(inputs);
    const entries: ProfileEntry[] = [];
    const batch = 2000;
    for (let start = 0; start < this.#steps.length; start += batch) {
      const steps = this.#steps.slice(start, start + batch);
      const querySet = device.createQuerySet({ type: 'timestamp', count: steps.length * 2 });
      const size = steps.length * 16;
      const resolved = this.engine.createBuffer(
        'timestamps',
        size,
        GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
      );
      const encoder = device.createCommandEncoder();
      steps.forEach((step, i) => {
        encodeAlone(encoder, step, {
          timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
        });
      });
      encoder.resolveQuerySet(querySet, 0, steps.length * 2, resolved, 0);
      device.queue.submit([encoder.finish()]);
      const times = new BigInt64Array((await this.engine.read(resolved, 0, size)).buffer);
      steps.forEach((step, i) => {
        entries.push({
          operation: step.operation,
          kernel: step.label,
          milliseconds: Number((times[2 * i + 1] as bigint) - (times[2 * i] as bigint)) / 1e6,
          flops: step.dispatch.flops ?? 0,
          bytes: dispatchBytes(step.dispatch),
        });
      });
      querySet.destroy();
      resolved.destroy();
    }
    return entries;
  }

  /** Resolves when no run is under way, however the runs end. */
  async idle(): Promise<void> {
    await Promise.all(this.#inFlight);
  }

  /**
   * Frees this program's memory; parameters stay. Runs under way and later ones reject with a ClosedError.
   */
  destroy(): void {
    this.#destroyed = true;
    clearTimeout(this.#preparation);
    this.#prepared = undefined;
    this.#owned.destroy();
  }
}

async function compileFields(
  engine: Engine,
  tape: Tape,
  options: ProgramOptions,
  owned: OwnedMemory,
): Promise<ProgramFields> {
  const { store, debug = false } = options;
  const outputs = Object.values(options.outputs);
  const fused = fuse(tape, outputs, engine.target);
  const { prologue, main } = selectProgram(fused, engine.target);
  const { result: memory, verdict } = engine.attempt('allocating the memory of a program', () =>
    allocate(engine, owned, tape, store, { prologue, main, outputs }),
  );
  await engine.guard(allDone([store.ready(), verdict]));
  const { locate } = memory;
  let ready = 0;
  const total = dispatchesOf([...prologue, ...main]).length;
  const onPipeline = () => options.onProgress?.(++ready, total);
  const [once, repeated] = await allDone([
    runPrologue(engine, prologue, memory, onPipeline),
    buildSteps(engine, main, memory, onPipeline),
  ]);

  const named = (tensors: Iterable<[string, Tensor]>) =>
    new Map([...tensors].map(([name, tensor]) => [name, { tensor, range: locate(tensor) }]));
  const usedInputs = tape.inputs.filter((tensor) => memory.result.placements.has(tensor));
  const located = named(Object.entries(options.outputs));
  const words = wordInputs(tape);
  const inputs = [...named(usedInputs.map((tensor) => [tensor.name, tensor]))];
  const staging = engine.attempt('allocating the memory of a program', () => createStaging(owned, located));
  await engine.guard(staging.verdict);
  return {
    engine,
    store,
    steps: repeated,
    prologue: once,
    inputs: new Map(inputs.map(([name, input]) => [name, { ...input, words: words.has(input.tensor) }])),
    outputs: located,
    staging: staging.result,
    owned,
    memory: memory.result,
    plan: printPlan([...prologue, ...main]),
    debug,
    locate,
  };
}

/** The inputs that hold whole numbers. */
function wordInputs(tape: Tape): Set<Tensor> {
  return new Set(
    tape.nodes.flatMap(({ definition, inputs }) =>
      (definition.words ?? []).map((name) => inputs[name]).filter((tensor) => tensor !== undefined),
    ),
  );
}

/** Buffers that runs read their outputs through, one after the other. */
function createStaging(owned: OwnedMemory, outputs: ReadonlyMap<string, Located>): GPUBuffer[] {
  let size = 0;
  for (const { range } of outputs.values()) size += roundUp(range.size, 16);
  if (!size) return [];
  return Array.from({ length: stagingRing }, (_, i) =>
    owned.createBuffer(`staging ${i}`, size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST),
  );
}
