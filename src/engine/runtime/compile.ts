/** From a tape to what a program runs: passes, plan, memory, kernels, and the prologue's first run. */
import type { Tape } from '../graph/tape.ts';
import { roundUp, type Tensor } from '../graph/tensor.ts';
import { checkPlan } from '../kernels/check.ts';
import { fuse } from '../passes/index.ts';
import { selectProgram } from '../plan/lower.ts';
import type { PlaceResult } from '../plan/place.ts';
import { dispatchesOf, printPlan } from '../plan/plan.ts';
import type { Engine } from './engine.ts';
import { allocate, type OwnedMemory, type Range } from './memory.ts';
import { runPrologue } from './prologue.ts';
import { buildSteps, type Step } from './steps.ts';
import type { ParameterStore } from './store.ts';
import { allDone } from './watch.ts';

/** What a program is compiled with. */
export interface ProgramOptions {
  /** Tensors that runs may read, by the name that they are read under. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** The parameters' memory; it must be that of the tape's parameter set. */
  readonly store: ParameterStore;
  /** Executes dispatch by dispatch and throws at the first non-finite value, naming it. Slow. */
  readonly debug?: boolean;
  /** Told after each pipeline: how many of how many are ready. */
  readonly onProgress?: (ready: number, total: number) => void;
}

/** A tensor and where it lies. */
export interface Located {
  readonly tensor: Tensor;
  readonly range: Range;
}

/** An input and where it lies. */
export interface LocatedInput extends Located {
  /** Whole numbers (Uint32Array); otherwise floats. */
  readonly words: boolean;
  /** Runs may give the beginning of each part alone. */
  readonly partial: boolean;
}

/** Everything that runs need; its memory belongs to the caller. */
export interface CompiledProgram {
  readonly steps: readonly Step[];
  readonly prologue: readonly Step[];
  readonly inputs: ReadonlyMap<string, LocatedInput>;
  readonly outputs: ReadonlyMap<string, Located>;
  /** Buffers that runs read their outputs through, one after the other. */
  readonly staging: readonly GPUBuffer[];
  readonly memory: PlaceResult;
  readonly plan: string;
  readonly locate: (tensor: Tensor) => Range;
}

// One is read while the next is written and a third is recorded.
const stagingBuffers = 3;

/** @param owned takes what is allocated, so that the caller can free it where the compilation fails */
export async function compileProgram(
  engine: Engine,
  tape: Tape,
  options: ProgramOptions,
  owned: OwnedMemory,
): Promise<CompiledProgram> {
  const { store } = options;
  const outputs = Object.values(options.outputs);
  const fused = fuse(tape, outputs, engine.lowering);
  const { prologue, main } = selectProgram(fused, engine.lowering);
  checkPlan([...prologue, ...main]);
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

  const located = new Map<string, Located>();
  for (const [name, tensor] of Object.entries(options.outputs))
    located.set(name, { tensor, range: locate(tensor) });
  const words = inputsOf(tape, 'words');
  const partial = inputsOf(tape, 'partial');
  const inputs = new Map<string, LocatedInput>();
  for (const tensor of tape.inputs)
    if (memory.result.placements.has(tensor))
      inputs.set(tensor.name, {
        tensor,
        range: locate(tensor),
        words: words.has(tensor),
        partial: partial.has(tensor),
      });
  const staging = engine.attempt('allocating the memory of a program', () => createStaging(owned, located));
  await engine.guard(staging.verdict);
  return {
    steps: repeated,
    prologue: once,
    inputs,
    outputs: located,
    staging: staging.result,
    memory: memory.result,
    plan: printPlan([...prologue, ...main]),
    locate,
  };
}

/** The inputs that operations list as holding whole numbers, or as given in part. */
function inputsOf(tape: Tape, list: 'words' | 'partial'): Set<Tensor> {
  return new Set(
    tape.nodes.flatMap(({ definition, inputs }) =>
      (definition[list] ?? []).map((name) => inputs[name]).filter((tensor) => tensor !== undefined),
    ),
  );
}

function createStaging(owned: OwnedMemory, outputs: ReadonlyMap<string, Located>): GPUBuffer[] {
  let size = 0;
  for (const { range } of outputs.values()) size += roundUp(range.size, 16);
  if (!size) return [];
  return Array.from({ length: stagingBuffers }, (_, i) =>
    owned.createBuffer(`staging ${i}`, size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST),
  );
}
