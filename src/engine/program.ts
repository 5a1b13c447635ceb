/**
 * A program: a frozen list of dispatches with their bind groups, one uniform arena and statically placed memory. `run` writes
 * inputs, submits and reads what was asked for; it creates no GPU object. An inference pass is one program, and so is a whole
 * training step.
 */
import type { Engine } from './device.ts';
import { fuse } from './fuse.ts';
import { allocate, dispatchesOf, type Range } from './memory.ts';
import type { ParameterStore } from './parameters.ts';
import type { PlaceResult } from './place.ts';
import { selectProgram } from './plan.ts';
import { runPrologue } from './prologue.ts';
import { boundTensor, dispatchBytes, printPlan } from './select.ts';
import { buildSteps, encodeAlone, encodeSteps, type Step, submit } from './steps.ts';
import type { Tape } from './tape.ts';
import { bytesPerQuad, elements, type Packed, pack, roundUp, type Tensor, unpack } from './tensor.ts';

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

/** A run's commands, recorded before the run is asked for. */
interface PreparedRun {
  readonly commands: readonly GPUCommandBuffer[];
  /** Where the outputs go. */
  readonly staging: GPUBuffer | undefined;
  /** The outputs that it copies there. */
  readonly read: readonly string[];
}

const stagingRing = 3;

export class Program {
  readonly engine: Engine;
  readonly #steps: readonly Step[];
  readonly #prologue: readonly Step[];
  readonly #inputs: ReadonlyMap<string, Located>;
  readonly #outputs: ReadonlyMap<string, Located>;
  readonly #buffers: readonly GPUBuffer[];
  readonly #textures: readonly GPUTexture[];
  readonly #staging: GPUBuffer[] = [];
  // Padded inputs of the last run, written again by the next.
  readonly #packed = new Map<string, Packed>();
  readonly #debug: boolean;
  readonly #locate: (tensor: Tensor) => Range;
  #turn = 0;
  #prepared: PreparedRun | undefined;
  #preparation: ReturnType<typeof setTimeout> | undefined;
  #recordingMilliseconds = 0;
  #inFlight: Promise<unknown>[] = [];
  /** Arena sizes, placements and the liveness lower bound. */
  readonly memory: PlaceResult;
  /** One line per dispatch. */
  readonly plan: string;

  private constructor(fields: {
    engine: Engine;
    steps: readonly Step[];
    prologue: readonly Step[];
    inputs: ReadonlyMap<string, Located>;
    outputs: ReadonlyMap<string, Located>;
    buffers: readonly GPUBuffer[];
    textures: readonly GPUTexture[];
    memory: PlaceResult;
    plan: string;
    debug: boolean;
    locate: (tensor: Tensor) => Range;
  }) {
    this.engine = fields.engine;
    this.#steps = fields.steps;
    this.#prologue = fields.prologue;
    this.#inputs = fields.inputs;
    this.#outputs = fields.outputs;
    this.#buffers = fields.buffers;
    this.#textures = fields.textures;
    this.memory = fields.memory;
    this.plan = fields.plan;
    this.#debug = fields.debug;
    this.#locate = fields.locate;
    let size = 0;
    for (const { range } of fields.outputs.values()) size += roundUp(range.size, 16);
    for (let i = 0; i < stagingRing && size > 0; i++)
      this.#staging.push(
        this.engine.createBuffer(`staging ${i}`, size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST),
      );
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

  /** Copies into images of one run. */
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
    const images = this.#textures.reduce(
      (sum, { width, height, format }) => sum + width * height * bytesPerQuad({ half: format === 'rgba16float' }),
      0,
    );
    return this.#buffers.reduce((sum, buffer) => sum + buffer.size, images);
  }

  /** Fuses, selects, places and compiles a tape; runs the prologue (folded weights) once. */
  static async compile(engine: Engine, tape: Tape, options: ProgramOptions): Promise<Program> {
    const outputs = Object.values(options.outputs);
    const fused = fuse(tape, outputs, engine.target);
    const { prologue, main } = selectProgram(fused, engine.target);
    const memory = allocate(engine, tape, options.store, { prologue, main, outputs });
    const { locate } = memory;
    let ready = 0;
    const total = dispatchesOf([...prologue, ...main]).length;
    const onPipeline = () => options.onProgress?.(++ready, total);
    const [once, repeated] = await Promise.all([
      runPrologue(engine, prologue, memory, onPipeline),
      buildSteps(engine, main, memory, onPipeline),
    ]);
    const buffers = [...memory.buffers, ...once.buffers, repeated.uniforms];

    const named = (tensors: Iterable<[string, Tensor]>) =>
      new Map([...tensors].map(([name, tensor]) => [name, { tensor, range: locate(tensor) }]));
    const usedInputs = tape.inputs.filter((tensor) => memory.result.placements.has(tensor));
    return new Program({
      engine,
      steps: repeated.steps,
      prologue: once.steps,
      inputs: named(usedInputs.map((tensor) => [tensor.name, tensor])),
      outputs: named(Object.entries(options.outputs)),
      buffers,
      textures: memory.textures,
      memory: memory.result,
      plan: printPlan([...prologue, ...main]),
      debug: options.debug ?? false,
      locate,
    });
  }

  /** Recomputes what was derived from the parameters (folded weights). Call after writing parameters. */
  async refresh(): Promise<void> {
    const { device } = this.engine;
    if (this.#prologue.length) submit(device, encodeSteps(device, this.#prologue));
  }

  #writeInputs(inputs: RunInputs): void {
    for (const [name, { tensor, range }] of this.#inputs) {
      const values = inputs[name];
      if (!values) throw new Error(`input '${name}' [${tensor.shape}] is missing`);
      const packed = pack(values, tensor, `input '${name}'`, this.#packed.get(name));
      if (packed !== values) this.#packed.set(name, packed);
      this.engine.write(range.buffer, range.offset, packed);
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
   */
  async run(inputs: RunInputs, read: readonly string[] = [...this.#outputs.keys()]): Promise<RunOutputs> {
    while (this.#inFlight.length >= 2) await this.#inFlight[0];
    this.#writeInputs(inputs);
    if (this.#debug) await this.#runChecked();
    const { commands, staging } = this.#takePrepared(read);
    submit(this.engine.device, commands);
    const work = this.engine.guard(
      staging ? this.#collect(staging, read) : this.engine.device.queue.onSubmittedWorkDone().then(() => ({})),
    );
    this.#prepareSoon(read);
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

  /** Records a run. Recording is most of a run's JavaScript, and a command buffer serves once. */
  #prepare(read: readonly string[]): PreparedRun {
    const started = performance.now();
    const staging = read.length ? this.#staging[this.#turn++ % stagingRing] : undefined;
    const commands = encodeSteps(this.engine.device, this.#debug ? [] : this.#steps, (encoder) => {
      if (staging) this.#copyOutputs(encoder, staging, read);
    });
    this.#recordingMilliseconds = performance.now() - started;
    return { commands, staging, read };
  }

  /** Records the next run while the device works on this one: it will most likely read the same. */
  #prepareSoon(read: readonly string[]): void {
    this.#preparation ??= setTimeout(() => {
      this.#preparation = undefined;
      this.#prepared ??= this.#prepare(read);
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

  async #collect(staging: GPUBuffer, names: readonly string[]): Promise<RunOutputs> {
    await staging.mapAsync(GPUMapMode.READ);
    const memory = staging.getMappedRange();
    const result: RunOutputs = {};
    let offset = 0;
    for (const name of names) {
      const { tensor, range } = this.#output(name);
      result[name] = unpack(new Float32Array(memory, offset, range.size / 4), tensor);
      offset += roundUp(range.size, 16);
    }
    staging.unmap();
    return result;
  }

  async #runChecked(): Promise<void> {
    for (const step of this.#steps) {
      submit(this.engine.device, encodeSteps(this.engine.device, [step]));
      for (const name of step.dispatch.writes) {
        const binding = step.dispatch.bindings[name];
        const tensor = binding && boundTensor(binding);
        // Images hold copies and transforms of values that are checked where they lie in buffers.
        if (!tensor || tensor.layout === 'image') continue;
        const range = this.#locate(tensor);
        const count = tensor.layout === 'dense' ? elements(tensor.shape) : range.size / 4;
        const memory = await this.engine.read(range.buffer, range.offset, range.size);
        const bad = tensor.half
          ? new Uint16Array(memory.buffer).findIndex((value) => (value & 0x7c00) === 0x7c00)
          : new Uint32Array(memory.buffer, 0, count).findIndex((value) => (value & 0x7f800000) === 0x7f800000);
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

  /** Frees this program's memory; parameters stay. */
  destroy(): void {
    clearTimeout(this.#preparation);
    this.#prepared = undefined;
    for (const resource of [...this.#buffers, ...this.#staging, ...this.#textures]) resource.destroy();
  }
}
