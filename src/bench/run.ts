/** Runs bench cases on an engine. The same code in Node and in browsers. */

import { Tape } from '../engine/graph/tape.ts';
import { elements, type Tensor } from '../engine/graph/tensor.ts';
import { fuse } from '../engine/passes/index.ts';
import type { Peaks } from '../engine/plan/forecast.ts';
import { selectProgram } from '../engine/plan/lower.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { type ProfileEntry, Program, type RunInputs, type RunOutputs } from '../engine/runtime/program.ts';
import { type Retargeting, retarget } from '../engine/runtime/retarget.ts';
import { ParameterStore } from '../engine/runtime/store.ts';
import type { BenchCase } from './case.ts';
import { largestDifference, sampledError } from './check.ts';
import { convolutionOutput, outputElements } from './convolutions.ts';
import { type Timing, timeKernels, timeRuns } from './measure.ts';
import type { BenchResult } from './report.ts';
import { roofOf } from './roofline.ts';
import { ruleParameters, ruleTensor } from './rule.ts';
import { randomValues } from './values.ts';

export interface RunOptions {
  /** Runs at least. */
  readonly runs: number;
  /** Time that runs are repeated for. */
  readonly seconds: number;
  /**
   * Spread above which a case is measured again, as a share of the median; the steadiest time counts. Without
   * it every case is measured once.
   */
  readonly mostSpread?: number;
  readonly signal?: AbortSignal;
  readonly profile?: boolean;
  readonly onProfile?: (name: string, entries: readonly ProfileEntry[]) => void;
  /** Told of a wrong result, which is then timed all the same; without it a wrong result throws. */
  readonly onWrong?: (message: string) => void;
}

/** The plainest form of every kernel, which the others are compared with. */
const plain: Retargeting = { force: { rewrites: { winograd: false, textures: false } } };

interface Inputs {
  readonly inputs: RunInputs;
  /** What of them lies on the device. */
  readonly buffers: readonly GPUBuffer[];
}

function inputsOf(engine: Engine, benchCase: BenchCase, tape: Tape): Inputs {
  const inputs: Record<string, RunInputs[string]> = { ...benchCase.inputs?.() };
  const buffers: GPUBuffer[] = [];
  for (const { name, shape } of tape.inputs) {
    const values = () => randomValues(`bench/${name}`, elements(shape));
    if (!benchCase.onDevice?.includes(name)) {
      inputs[name] ??= values();
      continue;
    }
    const images = shape[0] as number;
    const size = (4 * elements(shape)) / images;
    const buffer = engine.createBuffer(name, images * size);
    engine.write(buffer, 0, values());
    buffers.push(buffer);
    inputs[name] = Array.from({ length: images }, (_, i) => ({ buffer, offset: i * size, size }));
  }
  return { inputs, buffers };
}

/** The parameters of a case, by the rule, on a device. */
export function storeOf(engine: Engine, benchCase: BenchCase, half = false): ParameterStore {
  const store = new ParameterStore(engine, benchCase.parameters({ half }));
  ruleParameters(
    { rule: (name, shape, scale, shift) => ruleTensor(name, elements(shape), scale, shift) },
    store,
  );
  return store;
}

/** A case as a program with parameters that are there; `destroy` leaves those. */
export async function compileCase(store: ParameterStore, benchCase: BenchCase) {
  const tape = new Tape(store.set);
  const outputs = benchCase.record(tape);
  const program = await Program.compile(store.engine, tape, { outputs, store });
  const { inputs, buffers } = inputsOf(store.engine, benchCase, tape);
  const destroy = () => {
    program.destroy();
    for (const buffer of buffers) buffer.destroy();
  };
  return { program, outputs, inputs, destroy };
}

async function build(engine: Engine, benchCase: BenchCase, choices: Retargeting, half = false) {
  const store = storeOf(retarget(engine, choices), benchCase, half);
  const compiled = await compileCase(store, benchCase);
  const destroy = () => {
    compiled.destroy();
    store.destroy();
  };
  return { ...compiled, store, destroy };
}

function error(
  benchCase: BenchCase,
  outputs: Readonly<Record<string, Tensor>>,
  result: RunOutputs,
  reference: RunOutputs | undefined,
): number {
  const c = benchCase.convolution;
  if (c)
    return sampledError(
      c,
      {
        x: randomValues('bench/x', elements(c.x)),
        w: randomValues('bench/w', elements(c.w)),
        dy: randomValues('bench/dy', outputElements(c)),
      },
      convolutionOutput(c),
      result.y as Float32Array,
    );
  return Object.keys(outputs).reduce(
    (worst, name) =>
      Math.max(worst, largestDifference(result[name] as Float32Array, reference?.[name] as Float32Array)),
    0,
  );
}

// Largest error that counts as the same result, relative to the largest value. Halves round at 5e-4, layer
// after layer.
const tolerance = (half: boolean | undefined) => (half ? 1e-2 : 1e-3);

/** Measurements of a case in all, where each is too unsteady. */
const mostAttempts = 3;

/** The steadiest of some measurements: as many as it takes, within bounds. */
async function steadiest(
  measure: () => Promise<Timing>,
  mostSpread = Number.POSITIVE_INFINITY,
): Promise<{ readonly timing: Timing; readonly attempts: number; readonly unsteady: boolean }> {
  let timing = await measure();
  let attempts = 1;
  for (; timing.spread > mostSpread && attempts < mostAttempts; attempts++) {
    const again = await measure();
    if (again.spread < timing.spread) timing = again;
  }
  return { timing, attempts, unsteady: timing.spread > mostSpread };
}

/** Arithmetic of a case by direct kernels: what Winograd's save counts too. */
function directFlops(engine: Engine, benchCase: BenchCase): number {
  const tape = new Tape(benchCase.parameters({ half: benchCase.half ?? false }));
  const outputs = Object.values(benchCase.record(tape));
  const context = retarget(engine, plain).lowering;
  const { main } = selectProgram(fuse(tape, outputs, context), context);
  return main.flatMap(({ dispatches }) => dispatches).reduce((sum, { flops = 0 }) => sum + flops, 0);
}

/** A case as a program that can run. */
export const buildCase = (engine: Engine, benchCase: BenchCase) =>
  build(engine, benchCase, benchCase.choices ?? {}, benchCase.half);

/**
 * Measures one case.
 *
 * @throws Error where its result is wrong, for then its time means nothing, unless `onWrong` is told
 */
export async function runCase(
  engine: Engine,
  benchCase: BenchCase,
  peaks: Peaks,
  options: RunOptions,
): Promise<BenchResult> {
  let reference: RunOutputs | undefined;
  if (!benchCase.convolution && !benchCase.long) {
    const other = await build(engine, benchCase, plain);
    reference = await other.program.run(other.inputs);
    other.destroy();
  }
  const wrong =
    options.onWrong ??
    ((message: string) => {
      throw new Error(message);
    });
  const { program, store, outputs, inputs, destroy } = await buildCase(engine, benchCase);
  try {
    const result = await program.run(inputs);
    for (const [name, values] of Object.entries(result))
      if (values.some((value) => !Number.isFinite(value))) wrong(`${benchCase.name}: ${name} is not finite`);
    const maxError = benchCase.long ? null : error(benchCase, outputs, result, reference);
    const scale = Object.values(result).reduce(
      (most, values) => values.reduce((m, value) => Math.max(m, Math.abs(value)), most),
      0,
    );
    if (maxError !== null && !(maxError <= tolerance(benchCase.half) * scale))
      wrong(`${benchCase.name}: the result is ${maxError} off, at values of up to ${scale}`);
    // On a real GPU a single kernel is shorter than a submit; on a software driver copies between kernels
    // count too.
    const stamps =
      benchCase.kind === 'kernel' && !engine.isSoftware && engine.device.features.has('timestamp-query');
    const read = benchCase.kind === 'kernel' ? [] : Object.keys(outputs);
    const { timing, attempts, unsteady } = await steadiest(
      () =>
        stamps
          ? timeKernels(program, inputs, options.runs, options.signal)
          : timeRuns(program, inputs, read, options),
      options.mostSpread,
    );
    if (options.profile) options.onProfile?.(benchCase.name, await program.profile(inputs));
    const { flops, bytes } = program.cost;
    const gflops = flops / timing.median_ms / 1e6;
    const roof = roofOf(program.stepCosts, peaks);
    return {
      name: benchCase.name,
      kind: benchCase.kind,
      ...timing,
      timed_by: stamps ? 'timestamps' : 'clock',
      attempts,
      unsteady,
      gflops,
      direct_gflops: directFlops(engine, benchCase) / timing.median_ms / 1e6,
      gbytes_per_s: bytes / timing.median_ms / 1e6,
      intensity: flops / bytes,
      share_of_roofline: roof.milliseconds / timing.median_ms,
      bound: roof.bound,
      dispatches: program.dispatchCount,
      copies: program.copyCount,
      pipelines: program.pipelineCount,
      peak_bytes: program.bytes,
      weight_bytes: store.bytes,
      max_abs_error: maxError,
      error_against: benchCase.convolution ? 'float64' : 'direct kernels without textures',
      configuration: matrixKernels(program.plan),
    };
  } finally {
    destroy();
  }
}

/** The matrix kernels of a plan with their constants, each once. */
function matrixKernels(plan: string): string {
  const kernels = new Set<string>();
  for (const line of plan.split('\n')) {
    const match = line.match(/((?:conv2d|weight_gradient)_(?:lane|tile))\.main,?(\S*)/);
    if (!match) continue;
    const constants = (match[2] as string).split(',').filter((part) => /=|texture|batched/.test(part));
    kernels.add(`${match[1]} ${constants.join(' ')}`);
  }
  return [...kernels].join('; ');
}
