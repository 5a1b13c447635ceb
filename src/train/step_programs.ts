/** Training-step programs by batch size: the last batch of an epoch may be short, and shapes are static. */

import { gradients } from '../engine/gradients.ts';
import type { ParameterSet } from '../engine/graph/parameter_set.ts';
import { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { type AdamOptions, adam } from '../engine/ops/adam.ts';
import { one } from '../engine/ops/reduce.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { Program, type RunInputs, type RunOutputs } from '../engine/runtime/program.ts';
import { ProgramCache } from '../engine/runtime/program_cache.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import type { RecordedLoss } from '../model/method.ts';
import { adamDefaults } from './schedule.ts';

/** Records forward pass and loss for a batch size. */
export type LossRecorder = (tape: Tape, batch: number) => RecordedLoss;

/** Trainable parameters of a group: all but the running statistics. */
export function trainable(set: ParameterSet, group: string) {
  return set.specs.filter((spec) => spec.group === group && !/\.running_(mean|var)$/.test(spec.name));
}

/**
 * Appends gradients of a loss and Adam's update of a group to the tape (input `step`); returns the gradients.
 */
export function recordStep(
  tape: Tape,
  loss: Tensor,
  group: string,
  options: Omit<AdamOptions, 'learningRate'> = adamDefaults,
): Map<Tensor, Tensor> {
  const wanted = trainable(tape.parameters, group).map((spec) =>
    tape.parameter(spec.name, spec.shape, spec.layout, spec.group, spec.initial),
  );
  const found = gradients(tape, new Map([[loss, one(tape)]]), wanted);
  adam(tape, group, found, tape.input('step', [2], 'dense'), options);
  return found;
}

/** One whole training step (forward, loss, backward, Adam) per batch size, compiled on first use. */
export class StepPrograms {
  readonly #engine: Engine;
  readonly #store: ParameterStore;
  readonly #group: string;
  readonly #record: LossRecorder;
  readonly #programs = new ProgramCache();
  readonly #debug: boolean;
  readonly #withGradients: boolean;

  /** @param options.gradients also outputs `gradient/NAME` of every parameter (for tests) */
  constructor(
    engine: Engine,
    store: ParameterStore,
    group: string,
    record: LossRecorder,
    options: { debug?: boolean; gradients?: boolean } = {},
  ) {
    this.#engine = engine;
    this.#store = store;
    this.#group = group;
    this.#record = record;
    this.#debug = options.debug ?? false;
    this.#withGradients = options.gradients ?? false;
  }

  program(batch: number): Promise<Program> {
    return this.#programs.get(batch, () => this.#compile(batch));
  }

  async #compile(batch: number): Promise<Program> {
    const tape = new Tape(this.#store.set);
    const { loss, outputs } = this.#record(tape, batch);
    const found = recordStep(tape, loss, this.#group);
    const extra: Record<string, Tensor> = {};
    if (this.#withGradients)
      for (const [parameter, gradient] of found) extra[`gradient/${parameter.name}`] = gradient;
    return Program.compile(this.#engine, tape, {
      outputs: { ...outputs, ...extra },
      store: this.#store,
      debug: this.#debug,
    });
  }

  /** Resolves when the step is submitted, with the promise of what it reports. */
  async submit(batch: number, inputs: RunInputs): Promise<{ readonly outputs: Promise<RunOutputs> }> {
    return { outputs: (await this.program(batch)).run(inputs) };
  }

  /** Frees the programs, after the steps that are under way. */
  destroy(): Promise<void> {
    return this.#programs.close();
  }
}
