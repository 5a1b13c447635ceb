/**
 * The model of times: how long the convolutions of a network take on a GPU, by the loops of their kernels and
 * the size of the GPU. No time of it was measured; it compares kernels with each other.
 */
import { amdMachine } from './amd_model.ts';
import { type Family, familyNamed } from './families.ts';
import { type AnalysedKernel, analyse, mainLoop, stepOf } from './kernel.ts';
import { addWork, type Work } from './machine.ts';
import type { ModelledDispatch } from './programs.ts';
import type { CompiledKernel, CompileRecord } from './records.ts';

/** A GPU of a family: the largest that is sold of it. */
export interface Gpu {
  readonly computeUnits: number;
  readonly gigahertz: number;
  /** Of its memory, in billions of bytes per second. */
  readonly bandwidth: number;
}

export const modelledGpus: Readonly<Record<string, Gpu>> = {
  NAVI31: { computeUnits: 96, gigahertz: 2.3, bandwidth: 960 },
  VANGOGH: { computeUnits: 8, gigahertz: 1.6, bandwidth: 88 },
  RENOIR: { computeUnits: 8, gigahertz: 1.75, bandwidth: 51 },
  NAVI21: { computeUnits: 80, gigahertz: 2.2, bandwidth: 512 },
};

export const modelledBatches = [1, 16] as const;

/** Cycles: of a load from memory, of a load from workgroup memory, of a dispatch that adds split sums. */
const waits = { memory: 450, lds: 80, splitSum: 3000 };

export const assumptions = [
  'Every wave of a compute unit issues one after the other; a SIMD is as busy as the most loaded one.',
  `A load from memory takes ${waits.memory} cycles, one from workgroup memory ${waits.lds}.`,
  'Both sides of a branch count.',
  'A step waits once for what it loads; a loop that loads waits once per turn.',
  'What is loaded ahead is waited for only where a step is shorter than a load.',
  `A sum that is split costs ${waits.splitSum} cycles more: the dispatch that adds its parts.`,
  'A dispatch takes the most of three: cycles of the vector units, cycles of workgroup memory, ' +
    'and the waits of the waves that a SIMD holds at once.',
  '"With memory": at least as long as its operands take to pass once at full bandwidth.',
  'No misses of caches, no bank conflicts.',
  ...Object.entries(modelledGpus).map(
    ([name, { computeUnits, gigahertz, bandwidth }]) =>
      `${name}: ${computeUnits} compute units, ${gigahertz} GHz, ${bandwidth} GB/s.`,
  ),
];

interface Wave {
  readonly work: Work;
  /** Cycles from its begin to its end when it is alone. */
  readonly latency: number;
}

/** A wave of a dispatch, from the loops of its kernel. */
function waveOf(kernel: AnalysedKernel, compiled: CompiledKernel, dispatch: ModelledDispatch): Wave {
  const { steps, depth, threads } = dispatch;
  const step = compiled.shape && stepOf(kernel, compiled.shape);
  const main = mainLoop(kernel);
  if (!step || !main) throw new Error(`${compiled.label}: no loop multiplies`);
  let work = addWork(kernel.straight, step.work, steps);
  let loading = 0;
  for (const { loop, own } of kernel.loops) {
    if (step.loop.body.has(loop.head)) {
      if (loop !== step.loop && own.ldsStores && loop !== main.loop) loading += step.turnsOf(loop);
    } else if (!loop.body.has(step.loop.head) && own.ldsStores) {
      // It fills workgroup memory with zeros.
      const bytes = compiled.statistics['LDS size'] ?? 0;
      work = addWork(work, own, bytes / (16 * threads * own.ldsStores));
    } else work = addWork(work, own, loop.body.has(step.loop.head) ? dispatch.turns : 1);
  }
  const ahead = compiled.label.includes('prefetch');
  const wait = loading
    ? loading * waits.memory
    : Math.max(0, waits.memory - (ahead ? step.work.vector + depth * waits.lds : 0));
  return { work, latency: work.vector + waits.memory + steps * (wait + depth * waits.lds) };
}

/** Cycles of a dispatch on a GPU. */
function cyclesOf(
  wave: Wave,
  dispatch: ModelledDispatch,
  lanes: number,
  occupancy: number,
  simds: number,
  gpu: Gpu,
) {
  const perUnit = Math.ceil(dispatch.workgroups / gpu.computeUnits) * (dispatch.threads / lanes);
  const perSimd = Math.ceil(perUnit / simds);
  const rounds = Math.max(1, Math.ceil(perSimd / occupancy));
  const busiest = Math.max(
    perSimd * wave.work.vector,
    (perUnit * wave.work.ldsBytes) / 128,
    rounds * wave.latency,
  );
  return busiest + (dispatch.splits > 1 ? waits.splitSum : 0);
}

export interface ModelledTime {
  readonly family: string;
  readonly batch: number;
  /** The sum over all convolutions without memory's bandwidth, in microseconds. */
  readonly microseconds: number;
  /** The sum where a dispatch takes at least as long as its operands take to pass. */
  readonly withMemory: number;
}

/** The modelled sums of a record that was made for the model. */
export function modelledTimes(family: Family, { kernels, modelled }: CompileRecord): ModelledTime[] {
  const gpu = modelledGpus[family.name];
  const { generation } = family;
  if (!gpu || !generation) throw new Error(`there is no model of ${family.name}`);
  const waves = new Map(kernels.map((compiled) => [compiled.label, compiled]));
  return modelled.map(({ batch, dispatches }) => {
    let [microseconds, withMemory] = [0, 0];
    for (const dispatch of dispatches) {
      const compiled = waves.get(dispatch.label);
      if (!compiled?.assembly) throw new Error(`${dispatch.label} was not compiled: ${compiled?.failure}`);
      const kernel = analyse(compiled.assembly, amdMachine(generation, compiled.subgroup));
      const wave = waveOf(kernel, compiled, dispatch);
      const occupancy = compiled.statistics['Subgroups per SIMD'] ?? 1;
      const cycles = cyclesOf(wave, dispatch, compiled.subgroup, occupancy, generation.simds, gpu);
      const time = cycles / (1000 * gpu.gigahertz);
      microseconds += time;
      withMemory += Math.max(time, dispatch.bytes / (1000 * gpu.bandwidth));
    }
    return { family: family.name, batch, microseconds, withMemory };
  });
}

/** A line per family and batch, against what was recorded before. */
export function timeLines(times: readonly ModelledTime[], before: readonly ModelledTime[]): string {
  return times
    .map(({ family, batch, microseconds, withMemory }) => {
      const old = before.find((each) => each.family === family && each.batch === batch);
      const against = (now: number, then: number | undefined) =>
        then === undefined ? '' : `, before ${then.toFixed(0)} us: ${(then / now).toFixed(2)}x`;
      return (
        `  ${familyNamed(family).name} batch ${batch}: ${microseconds.toFixed(0)} us` +
        `${against(microseconds, old?.microseconds)}; with memory ${withMemory.toFixed(0)} us` +
        `${against(withMemory, old?.withMemory)}`
      );
    })
    .join('\n');
}
