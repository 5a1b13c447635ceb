/**
 * A program: a frozen list of dispatches with their bind groups, one uniform arena and statically placed memory. `run` writes
 * inputs, submits and reads what was asked for; it creates no GPU object. An inference pass is one program, and so is a whole
 * training step.
 */
import type { Engine, Pipeline } from './device.ts';
import { fuse } from './fuse.ts';
import { allocate, type Range } from './memory.ts';
import type { ParameterStore } from './parameters.ts';
import type { PlaceResult } from './place.ts';
import { boundTensor, type Dispatch, printPlan, select } from './select.ts';
import type { Node, Tape } from './tape.ts';
import { byteLength, elements, pack, roundUp, type Tensor, unpack } from './tensor.ts';

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

interface Step {
  readonly operation: string;
  readonly dispatch: Dispatch;
  readonly pipeline: Pipeline;
  readonly bindGroup: GPUBindGroup;
}

interface Located {
  readonly tensor: Tensor;
  readonly range: Range;
}

// Work per submit, so that a display stays alive and a watchdog calm: about 50 ms on a slow integrated GPU.
const flopsPerSubmit = 2e11;
const stagingRing = 3;

export class Program {
  readonly engine: Engine;
  readonly #steps: readonly Step[];
  readonly #prologue: readonly Step[];
  readonly #inputs: ReadonlyMap<string, Located>;
  readonly #outputs: ReadonlyMap<string, Located>;
  readonly #buffers: readonly GPUBuffer[];
  readonly #staging: GPUBuffer[] = [];
  readonly #debug: boolean;
  readonly #locate: (tensor: Tensor) => Range;
  #turn = 0;
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

  /** Dispatches of one run. */
  get dispatchCount(): number {
    return this.#steps.length;
  }

  /** GPU bytes that this program allocated, without the parameters. */
  get bytes(): number {
    return this.#buffers.reduce((sum, buffer) => sum + buffer.size, 0);
  }

  /** Fuses, selects, places and compiles a tape; runs the prologue (folded weights) once. */
  static async compile(engine: Engine, tape: Tape, options: ProgramOptions): Promise<Program> {
    const outputs = Object.values(options.outputs);
    const fused = fuse(tape, outputs);
    const prologue = select(fused.prologue, engine.target);
    const main = select(fused.nodes, engine.target);
    const memory = allocate(engine, tape, options.store, { prologue, main, outputs });
    const { locate, resolve } = memory;
    const planned = [...prologue, ...main].flatMap(({ node, dispatches }) =>
      dispatches.map((dispatch) => ({ node, dispatch })),
    );
    let ready = 0;
    const pipelines = await engine.guard(
      Promise.all(
        planned.map(async ({ dispatch }) => {
          const pipeline = await engine.pipeline(dispatch.kernel, Object.keys(dispatch.bindings));
          options.onProgress?.(++ready, planned.length);
          return pipeline;
        }),
      ),
    );
    const uniforms = writeUniforms(engine, planned, pipelines);
    const buffers = [...memory.buffers, uniforms];
    const steps = planned.map(({ node, dispatch }, index): Step => {
      const pipeline = pipelines[index] as Pipeline;
      const entries: GPUBindGroupEntry[] = Object.entries(dispatch.bindings).map(([name, binding]) => ({
        binding: pipeline.kernel.bindings.get(name) as number,
        resource: resolve(binding),
      }));
      if (pipeline.kernel.uniforms.length)
        entries.push({ binding: 0, resource: { buffer: uniforms, offset: index * 256, size: 256 } });
      const label = `${node.definition.name} ${pipeline.label}`;
      const bindGroup = engine.device.createBindGroup({ label, layout: pipeline.layout, entries });
      return { operation: node.definition.name, dispatch, pipeline, bindGroup };
    });
    const prologueCount = prologue.reduce((count, { dispatches }) => count + dispatches.length, 0);

    const named = (tensors: Iterable<[string, Tensor]>) =>
      new Map([...tensors].map(([name, tensor]) => [name, { tensor, range: locate(tensor) }]));
    const usedInputs = tape.inputs.filter((tensor) => memory.result.placements.has(tensor));
    const program = new Program({
      engine,
      steps: steps.slice(prologueCount),
      prologue: steps.slice(0, prologueCount),
      inputs: named(usedInputs.map((tensor) => [tensor.name, tensor])),
      outputs: named(Object.entries(options.outputs)),
      buffers,
      memory: memory.result,
      plan: printPlan([...prologue, ...main]),
      debug: options.debug ?? false,
      locate,
    });
    await program.refresh();
    return program;
  }

  /** Recomputes what was derived from the parameters (folded weights). Call after writing parameters. */
  async refresh(): Promise<void> {
    if (this.#prologue.length) this.#submit(this.#prologue);
  }

  #writeInputs(inputs: RunInputs): void {
    for (const [name, { tensor, range }] of this.#inputs) {
      const values = inputs[name];
      if (!values) throw new Error(`input '${name}' [${tensor.shape}] is missing`);
      this.engine.write(range.buffer, range.offset, pack(values, tensor, `input '${name}'`));
    }
  }

  #submit(steps: readonly Step[], copyTo?: { staging: GPUBuffer; names: readonly string[] }): void {
    const { device } = this.engine;
    let encoder = device.createCommandEncoder();
    let pass = encoder.beginComputePass();
    let flops = 0;
    for (const step of steps) {
      pass.setPipeline(step.pipeline.pipeline);
      pass.setBindGroup(0, step.bindGroup);
      pass.dispatchWorkgroups(...step.dispatch.workgroups);
      flops += step.dispatch.flops ?? 0;
      if (flops > flopsPerSubmit) {
        pass.end();
        device.queue.submit([encoder.finish()]);
        encoder = device.createCommandEncoder();
        pass = encoder.beginComputePass();
        flops = 0;
      }
    }
    pass.end();
    if (copyTo) {
      let offset = 0;
      for (const name of copyTo.names) {
        const { range } = this.#output(name);
        encoder.copyBufferToBuffer(range.buffer, range.offset, copyTo.staging, offset, range.size);
        offset += roundUp(range.size, 16);
      }
    }
    device.queue.submit([encoder.finish()]);
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
    const staging = this.#staging[this.#turn++ % stagingRing];
    this.#submit(this.#debug ? [] : this.#steps, staging && read.length ? { staging, names: read } : undefined);
    const work = this.engine.guard(
      staging && read.length
        ? this.#collect(staging, read)
        : this.engine.device.queue.onSubmittedWorkDone().then(() => ({})),
    );
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
      this.#submit([step]);
      for (const name of step.dispatch.writes) {
        const binding = step.dispatch.bindings[name];
        const tensor = binding && boundTensor(binding);
        if (!tensor) continue;
        const range = this.#locate(tensor);
        const count = tensor.layout === 'dense' ? elements(tensor.shape) : range.size / 4;
        const memory = await this.engine.read(range.buffer, range.offset, range.size);
        const bits = new Uint32Array(memory.buffer, 0, count);
        const bad = bits.findIndex((value) => (value & 0x7f800000) === 0x7f800000);
        if (bad >= 0 && tensor.role !== 'input')
          throw new Error(
            `non-finite value in ${name} of ${step.operation} (kernel ${step.pipeline.label}), tensor ${tensor.name} ` +
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
        const pass = encoder.beginComputePass({
          timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
        });
        pass.setPipeline(step.pipeline.pipeline);
        pass.setBindGroup(0, step.bindGroup);
        pass.dispatchWorkgroups(...step.dispatch.workgroups);
        pass.end();
      });
      encoder.resolveQuerySet(querySet, 0, steps.length * 2, resolved, 0);
      device.queue.submit([encoder.finish()]);
      const times = new BigInt64Array((await this.engine.read(resolved, 0, size)).buffer);
      steps.forEach((step, i) => {
        const bytes = Object.values(step.dispatch.bindings).reduce((sum, binding) => {
          const tensor = boundTensor(binding);
          return sum + (tensor ? byteLength(tensor) : 0);
        }, 0);
        entries.push({
          operation: step.operation,
          kernel: step.pipeline.label,
          milliseconds: Number((times[2 * i + 1] as bigint) - (times[2 * i] as bigint)) / 1e6,
          flops: step.dispatch.flops ?? 0,
          bytes,
        });
      });
      querySet.destroy();
      resolved.destroy();
    }
    return entries;
  }

  /** Frees this program's memory; parameters stay. */
  destroy(): void {
    for (const buffer of [...this.#buffers, ...this.#staging]) buffer.destroy();
  }
}

function writeUniforms(
  engine: Engine,
  planned: readonly { node: Node; dispatch: Dispatch }[],
  pipelines: readonly Pipeline[],
): GPUBuffer {
  const data = new DataView(new ArrayBuffer(Math.max(planned.length, 1) * 256));
  planned.forEach(({ dispatch }, index) => {
    const { kernel, label } = pipelines[index] as Pipeline;
    kernel.uniforms.forEach(({ name, type }, field) => {
      const value = dispatch.uniforms[name] ?? 0;
      const offset = index * 256 + field * 4;
      if (type === 'f32') data.setFloat32(offset, value, true);
      else if (type === 'i32') data.setInt32(offset, value, true);
      else data.setUint32(offset, value, true);
    });
    for (const name of Object.keys(dispatch.uniforms))
      if (!kernel.uniforms.some((field) => field.name === name))
        throw new Error(`kernel ${label} has no uniform '${name}'`);
  });
  const buffer = engine.createBuffer('uniforms', data.byteLength, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
  engine.write(buffer, 0, new Uint32Array(data.buffer));
  return buffer;
}
