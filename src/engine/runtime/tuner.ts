/**
 * The tuner: times every candidate of the matrix families at the sizes and batches that a model has on this
 * device, checks each result, and keeps the fastest: one kernel for all batches, so that bits do not depend
 * on them. Results are plain data; whoever opens an engine may pass them on
 * (`EngineOptions.tunings`).
 */
import { RandomStream } from '../../base/random.ts';
import { chooseMatrixKernel } from '../device/choose.ts';
import {
  describeKernel,
  type MatrixFamilyName,
  type MatrixKernel,
  type MatrixProblem,
} from '../device/families.ts';
import { sizeBucket, type TunedEntry, tuningKey } from '../device/tuning.ts';
import { ParameterSet } from '../graph/parameter_set.ts';
import { type Node, Tape } from '../graph/tape.ts';
import { elements } from '../graph/tensor.ts';
import { productOf } from '../ops/operation.ts';
import type { Engine } from './engine.ts';
import { Program, type RunInputs } from './program.ts';
import { retarget } from './retarget.ts';
import { ParameterStore } from './store.ts';

/** Products that share a tuned kernel. */
export interface TuningCase {
  readonly family: MatrixFamilyName;
  /** One for every batch that they have. */
  readonly products: readonly { readonly node: Node; readonly problem: MatrixProblem }[];
}

/** The different matrix products of tapes, by tuning key. */
export function tuningCases(tapes: readonly Tape[]): Map<string, TuningCase> {
  const cases = new Map<string, TuningCase>();
  for (const node of tapes.flatMap((tape) => tape.nodes)) {
    const problem = productOf(node);
    if (!problem) continue;
    const products = cases.get(tuningKey(problem))?.products ?? [];
    if (products.some((other) => sizeBucket(other.problem.rows) === sizeBucket(problem.rows))) continue;
    cases.set(tuningKey(problem), {
      family: problem.family,
      products: [...products, { node, problem }],
    });
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
interface Measured {
  readonly result: Float32Array;
  readonly milliseconds: number;
}

async function measure(engine: Engine, node: Node): Promise<Measured> {
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
 * The best entry of one case: the kernel whose least gain over the table's choice in any batch is the
 * largest. A candidate that computes something else than the table's choice is left out.
 *
 * @throws Error where no candidate works on this device
 */
export async function tuneCase(
  engine: Engine,
  { family, products }: TuningCase,
  onRejected?: (configuration: MatrixKernel, reason: string) => void,
): Promise<TunedEntry> {
  const rewrites = { winograd: false };
  const alone = { tuned: {}, force: { rewrites } };
  const byTable = retarget(engine, alone);
  const chosen = products.map(({ problem }) => chooseMatrixKernel(problem, byTable.lowering));
  const [first, ...others] = chosen;
  const name = first && describeKernel(first);
  const ofTable = others.every((kernel) => describeKernel(kernel) === name) ? first : undefined;
  const tables: Measured[] = [];
  for (const { node } of products) tables.push(await measure(byTable, node));
  const tableMilliseconds = total(tables);
  let share = 1;
  let best: TunedEntry = {
    ...(ofTable && { configuration: ofTable }),
    milliseconds: tableMilliseconds,
    tableMilliseconds,
  };
  let works = false;
  for (const configuration of engine.profile.kernels[family].candidates(engine.target)) {
    if (ofTable && describeKernel(configuration) === name) {
      works = true;
      continue;
    }
    try {
      const own = retarget(engine, { ...alone, force: { rewrites, [family]: configuration } });
      const measured: Measured[] = [];
      for (const { node } of products) measured.push(await measure(own, node));
      if (!measured.every(({ result }, i) => agrees(result, (tables[i] as Measured).result))) {
        onRejected?.(configuration, 'its result is wrong');
        continue;
      }
      works = true;
      const worst = Math.max(
        ...measured.map(({ milliseconds }, i) => milliseconds / (tables[i] as Measured).milliseconds),
      );
      if (worst >= share) continue;
      share = worst;
      best = { configuration, milliseconds: total(measured), tableMilliseconds };
    } catch (error) {
      onRejected?.(configuration, (error as Error).message);
    }
  }
  if (!works) throw new Error(`no configuration of ${family} works on this device`);
  return best;
}

function total(measured: readonly Measured[]): number {
  return measured.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
}
