/**
 * The tuner: times every candidate of the matrix families at the sizes that a model has on this device,
 * checks each result, and keeps the fastest. Results are plain data; whoever opens an engine may pass them on
 * (`EngineOptions.tunings`).
 */
import { RandomStream } from '../../base/random.ts';
import type { MatrixKernel, MatrixProblem } from '../device/families.ts';
import type { TunedEntry } from '../device/tuning.ts';
import { tuningKey } from '../device/tuning.ts';
import { ParameterSet } from '../graph/parameter_set.ts';
import { type Node, Tape } from '../graph/tape.ts';
import { elements } from '../graph/tensor.ts';
import { productOf } from '../ops/operation.ts';
import type { Engine } from './engine.ts';
import { Program, type RunInputs } from './program.ts';
import { retarget } from './retarget.ts';
import { ParameterStore } from './store.ts';

/** The different matrix products of tapes: one node per tuning key. */
export function tuningCases(tapes: readonly Tape[]): Map<string, { node: Node; problem: MatrixProblem }> {
  const cases = new Map<string, { node: Node; problem: MatrixProblem }>();
  for (const node of tapes.flatMap((tape) => tape.nodes)) {
    const problem = productOf(node);
    if (problem && !cases.has(tuningKey(problem))) cases.set(tuningKey(problem), { node, problem });
  }
  return cases;
}

const minimalBatchMilliseconds = 20;
const repeats = 5;
// By the device's clock; the first ones wake the GPU up.
const deviceRuns = 25;
// Configurations differ in the order of their sums.
const tolerance = 1e-4;

/**
 * Whether the device's own clock times kernels. A GPU computes a product in less time than the host takes for
 * a run; a software driver has no other clock than the host's.
 */
function hasClock({ profile, device }: Engine): boolean {
  return profile.processor === 'gpu' && device.features.has('timestamp-query');
}

function median(samples: number[]): number {
  return samples.sort((a, b) => a - b)[samples.length >> 1] as number;
}

/** The median time of a run's kernels; zero where the clock is too coarse for them. */
async function deviceMilliseconds(program: Program, given: RunInputs): Promise<number> {
  const samples: number[] = [];
  for (let run = 0; run < deviceRuns; run++) {
    const entries = await program.profile(given);
    samples.push(entries.reduce((sum, { milliseconds }) => sum + milliseconds, 0));
  }
  return median(samples);
}

/** The median time of a run by the host's clock. */
async function hostMilliseconds(program: Program, given: RunInputs): Promise<number> {
  const samples: number[] = [];
  let runs = 1;
  while (samples.length < repeats) {
    const started = performance.now();
    for (let i = 0; i < runs; i++) await program.run(given, []);
    const elapsed = performance.now() - started;
    if (elapsed < minimalBatchMilliseconds && !samples.length) runs *= 2;
    else samples.push(elapsed / runs);
  }
  return median(samples);
}

/** One product alone: its result and the median time of a run. */
async function measure(engine: Engine, node: Node): Promise<{ result: Float32Array; milliseconds: number }> {
  const tape = new Tape(new ParameterSet());
  const given: Record<string, Float32Array> = {};
  const inputs = Object.fromEntries(
    Object.entries(node.inputs).map(([name, { shape, layout }]) => {
      const random = new RandomStream(`tuner ${name}`);
      given[name] = Float32Array.from({ length: elements(shape) }, () => random.uniform(-1, 1));
      return [name, tape.input(name, shape, layout)];
    }),
  );
  const [output] = Object.values(tape.record(node.definition, inputs, node.attributes));
  if (!output) throw new Error(`${node.definition.name} has no output`);
  const program = await Program.compile(engine, tape, {
    outputs: { output },
    store: new ParameterStore(engine, tape.parameters),
  });
  try {
    const result = (await program.run(given)).output as Float32Array;
    const onDevice = hasClock(engine) ? await deviceMilliseconds(program, given) : 0;
    return { result, milliseconds: onDevice || (await hostMilliseconds(program, given)) };
  } finally {
    program.destroy();
  }
}

function agrees(a: Float32Array, b: Float32Array): boolean {
  let scale = 0;
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    scale = Math.max(scale, Math.abs(b[i] as number));
    const difference = Math.abs((a[i] as number) - (b[i] as number));
    worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference);
  }
  return worst <= tolerance * scale;
}

/**
 * The best entry of one case; a candidate that computes something else than the table's choice is left out.
 */
export async function tuneCase(
  engine: Engine,
  { node, problem }: { node: Node; problem: MatrixProblem },
  onRejected?: (configuration: MatrixKernel, reason: string) => void,
): Promise<TunedEntry & { configuration: MatrixKernel }> {
  const rewrites = { winograd: false };
  const alone = { tuned: {}, force: { rewrites } };
  const table = await measure(retarget(engine, alone), node);
  let best: TunedEntry | undefined;
  for (const configuration of engine.profile.kernels[problem.family].candidates(engine.target)) {
    try {
      const own = retarget(engine, { ...alone, force: { rewrites, [problem.family]: configuration } });
      const { result, milliseconds } = await measure(own, node);
      if (!agrees(result, table.result)) onRejected?.(configuration, 'its result is wrong');
      else if (!best || milliseconds < best.milliseconds)
        best = { configuration, milliseconds, tableMilliseconds: table.milliseconds };
    } catch (error) {
      onRejected?.(configuration, (error as Error).message);
    }
  }
  if (!best) throw new Error(`no configuration of ${problem.family} works on this device`);
  return best;
}
