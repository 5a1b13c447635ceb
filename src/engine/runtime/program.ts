/**
 * A program: a frozen list of dispatches with their bind groups, one uniform arena and statically placed
 * memory. `run` writes inputs, submits and reads what was asked for; it creates no GPU object. An inference
 * pass is one program, and so is a whole training step.
 */
import { ClosedError } from '../../base/errors.ts';
import { dispatchBytes } from '../dispatch.ts';
import type { Tape } from '../graph/tape.ts';
import type { PlaceResult } from '../plan/place.ts';
import { runChecked } from './checked_run.ts';
import { type CompiledProgram, compileProgram, type ProgramOptions } from './compile.ts';
import type { Engine } from './engine.ts';
import { InputWriter, type RunInputs } from './inputs.ts';
import { type KeptOutputs, keepOutputs } from './kept_outputs.ts';
import { OwnedMemory } from './memory.ts';
import { checkTimestamps, type ProfileEntry, profileSteps } from './profiler.ts';
import { type RunOutputs, RunRecorder } from './run_recorder.ts';
import { encodeSteps, submit } from './steps.ts';
import type { ParameterStore } from './store.ts';
import { allDone } from './watch.ts';

export type { ProgramOptions } from './compile.ts';
export type { RunInputs } from './inputs.ts';
export type { KeptOutputs } from './kept_outputs.ts';
export type { ProfileEntry } from './profiler.ts';
export type { RunOutputs } from './run_recorder.ts';

/** A compiled tape. Destroy it, or its memory stays taken until the engine closes. */
export class Program {
  /** The engine that it was compiled on. */
  readonly engine: Engine;
  /** Placement of the values of one run: arena sizes, and the least that any placement needs. */
  readonly memory: PlaceResult;
  /** One line per dispatch. */
  readonly plan: string;
  readonly #store: ParameterStore;
  readonly #compiled: CompiledProgram;
  readonly #owned: OwnedMemory;
  readonly #debug: boolean;
  readonly #writer: InputWriter;
  readonly #recorder: RunRecorder;
  readonly #runsAtOnce: number;
  #inFlight: Promise<unknown>[] = [];
  #destroyed = false;

  private constructor(
    engine: Engine,
    { store, debug = false }: ProgramOptions,
    compiled: CompiledProgram,
    owned: OwnedMemory,
  ) {
    const { steps, inputs, outputs, staging, memory, plan } = compiled;
    this.engine = engine;
    this.memory = memory;
    this.plan = plan;
    this.#store = store;
    this.#compiled = compiled;
    this.#owned = owned;
    this.#debug = debug;
    this.#writer = new InputWriter(engine, inputs);
    // A run that is checked has executed its steps before, and waits between them.
    this.#recorder = new RunRecorder(engine, debug ? [] : steps, outputs, staging);
    this.#runsAtOnce = debug ? 1 : 2;
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
      return new Program(engine, options, await compileProgram(engine, tape, options, owned), owned);
    } catch (error) {
      owned.destroy();
      throw error;
    }
  }

  /** Kernel launches of one run. */
  get dispatchCount(): number {
    return this.#compiled.steps.filter((step) => step.dispatch.kernel !== 'copy').length;
  }

  /** Copies into textures of one run. */
  get copyCount(): number {
    return this.#compiled.steps.length - this.dispatchCount;
  }

  /** Different kernels of a run and its prologue. */
  get pipelineCount(): number {
    const { prologue, steps } = this.#compiled;
    const labels = [...prologue, ...steps].map(({ label }) => label);
    return new Set(labels.filter((label) => label !== 'copy')).size;
  }

  /** Arithmetic of one run, in floating-point operations, and the bytes of every operand of every kernel. */
  get cost(): { flops: number; bytes: number } {
    const cost = { flops: 0, bytes: 0 };
    for (const { flops, bytes } of this.stepCosts) {
      cost.flops += flops;
      cost.bytes += bytes;
    }
    return cost;
  }

  /** Arithmetic and bytes of operands of every kernel and copy of a run, in their order. */
  get stepCosts(): { flops: number; bytes: number }[] {
    return this.#compiled.steps.map(({ dispatch }) => ({
      flops: dispatch.flops ?? 0,
      bytes: dispatchBytes(dispatch),
    }));
  }

  /** GPU bytes that this program allocated, without the parameters. */
  get bytes(): number {
    return this.#owned.bytes;
  }

  /** Time that recording the last prepared run took. */
  get recordingMilliseconds(): number {
    return this.#recorder.milliseconds;
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
    const { prologue } = this.#compiled;
    if (!prologue.length) return;
    const { device } = this.engine;
    const { verdict } = this.engine.attempt('preparing the weights of a program', () =>
      submit(device, encodeSteps(device, prologue)),
    );
    await this.engine.guard(verdict);
  }

  /**
   * One run. Resolves with the named outputs (all by default) in the order of their shapes.
   * At most two runs are in flight: a third waits.
   *
   * @throws Error on an input that is missing or of another type or length, an output that does not exist, or
   *   with WebGPU's message; the next run is not affected. DeviceLostError, or ClosedError where program,
   *   parameters or engine are closed.
   */
  async run(
    inputs: RunInputs,
    read: readonly string[] = [...this.#compiled.outputs.keys()],
  ): Promise<RunOutputs> {
    this.#check();
    for (const name of read) this.#recorder.output(name);
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
      submit(this.engine.device, this.#writer.write(inputs));
      await runChecked(this.engine, this.#compiled.steps, this.#compiled.locate);
    }
    const recorded = this.#recorder.take(read);
    const { staging } = recorded;
    const { device } = this.engine;
    const { result, verdict } = this.engine.attempt('a run', () => {
      const copies = this.#debug ? [] : this.#writer.write(inputs);
      submit(device, [...copies, ...recorded.commands]);
      return staging ? staging.mapAsync(GPUMapMode.READ) : device.queue.onSubmittedWorkDone();
    });
    this.#recorder.prepareSoon(read);
    const done = allDone([recorded.verdict, verdict, result]);
    try {
      await this.engine.guard(done, 'a run failed');
    } catch (error) {
      if (staging) result.then(() => staging.unmap()).catch(() => {});
      throw this.#destroyed ? new ClosedError('the program was closed during a run') : error;
    }
    return staging ? this.#recorder.collect(staging, read) : {};
  }

  /**
   * Runs once with a timestamp around every dispatch.
   *
   * @throws Error where the adapter has no timestamps, or as {@link Program.run} on wrong inputs
   */
  async profile(inputs: RunInputs): Promise<ProfileEntry[]> {
    checkTimestamps(this.engine);
    submit(this.engine.device, this.#writer.write(inputs));
    return profileSteps(this.engine, this.#compiled.steps);
  }

  /**
   * Keeps outputs of the last run on the device, cut into equal parts along their first dimension, as inputs
   * of later runs of any program. What is kept is the caller's to destroy.
   *
   * @param names outputs; the same memory serves the next run, so none may have been started since
   * @throws Error on an output that does not exist or cannot be cut so; OutOfMemoryError, and then nothing is
   *   kept; DeviceLostError, or ClosedError where program, parameters or engine are closed
   */
  async keep(names: readonly string[], parts: number): Promise<KeptOutputs[]> {
    this.#check();
    const outputs = new Map(names.map((name) => [name, this.#recorder.output(name)]));
    return keepOutputs(this.engine, outputs, parts);
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
    this.#recorder.close();
    this.#owned.destroy();
  }
}
