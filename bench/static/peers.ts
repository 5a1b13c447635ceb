/**
 * Other engines that run on Dawn, on the same compilers: the loops of their kernels, what they spill, and
 * what a run costs on the host where the device takes no time.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileFor, runOn } from './compile.ts';
import type { Family } from './families.ts';
import { analysed, figuresOf, type KernelFigures } from './figures.ts';
import { type AnalysedKernel, mainLoop, stepOf } from './kernel.ts';
import { kStep, readsKStep, turnsInStep } from './main_loops.ts';
import type { CompiledKernel } from './records.ts';

/** An engine as a process: see bench/peers/worker.mjs. */
export interface StaticPeer {
  readonly engine: string;
  /** Our own: what a K step is, is known of its kernels. */
  readonly own?: boolean;
  readonly script: string;
  /** The folder has model, weights and images. */
  readonly config: { readonly folder: string };
}

/** A kernel that multiplies in a loop. */
export interface PeerKernel {
  readonly multiplyAdds: number;
  /** Useful share of the main loop's vector cycles; of the slowest unit's in a K step: AMD, Intel, NVIDIA. */
  readonly mainLoop?: number;
  readonly step?: number;
  readonly limit?: string;
  /** The compiler's cycles per multiply-add of eight lanes, the turns of loops guessed alike (Intel). */
  readonly cycles?: number | undefined;
  /** Instructions of a K step for each of its multiply-adds (Adreno, Mali). */
  readonly instructions?: number;
  /** Cycles of the busiest unit for each multiply-add of a K step, and the unit (Mali). */
  readonly unitCycles?: number;
  readonly unit?: string;
  readonly registers: number | undefined;
  readonly occupancy: number | undefined;
  readonly spills: number;
}

export interface PeerFigures {
  readonly engine: string;
  readonly kernels: number;
  /** Kernels that spill. */
  readonly spilling: number;
  /** Those that multiply, the ones with the most multiply-adds in a turn of their main loop first. */
  readonly products: readonly PeerKernel[];
  /** Milliseconds of a run, median. */
  readonly host_ms: number;
}

// A product of matrices multiplies quads by quads; others read what they multiply once.
const leastMultiplyAdds = 16;

/** The K step where nothing is known of the kernel: its main loop turns so often, other loops once. */
function guessedStep(kernel: AnalysedKernel) {
  const main = mainLoop(kernel);
  if (!main) return undefined;
  const around = kernel.loops.find(({ loop }) => loop.inner.includes(main.loop));
  const sides = kernel.loops.filter(
    ({ loop, own }) => around?.loop.inner.includes(loop) && loop !== main.loop && own.ldsStores > 0,
  );
  const brought = sides.map(({ own }) => own.ldsStores);
  const stores: [number, number] =
    brought.length === 2 && !around?.own.ldsStores
      ? [brought[0] as number, brought[1] as number]
      : [brought.reduce((sum, count) => sum + count, around?.own.ldsStores ?? 0), 0];
  return stepOf(kernel, { multiplyAdds: turnsInStep * main.own.multiplyAdds, stores });
}

/**
 * The kernels of a record that a process left which gave them no names.
 *
 * @param errors its standard error, where some drivers print their figures, a line per kernel
 */
export function unnamedKernels(text: string, errors = ''): CompiledKernel[] {
  const printed = [...errors.matchAll(/^SHADER-DB.*?shader: (.*)$/gm)].map(([, figures]) => figures);
  const kernels = recordedKernels(text);
  // Else it is not known which line is whose.
  if (printed.length !== kernels.length) return kernels;
  return kernels.map((kernel, i) => ({ ...kernel, printed: printed[i] ?? '' }));
}

function recordedKernels(text: string): CompiledKernel[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Partial<CompiledKernel>)
    .flatMap(({ statistics, subgroup = 0, assembly }, i) =>
      statistics
        ? [{ label: `kernel ${i}`, programs: [], subgroup, statistics, ...(assembly && { assembly }) }]
        : [],
    );
}

/** Why nothing is told of the loops of a family's kernels; undefined where it is. */
export function untold({ vendor }: Family): string | undefined {
  return vendor === 'apple'
    ? 'the driver hands out no disassembly, only figures of the whole code'
    : undefined;
}

function productOf(kernel: CompiledKernel, figures: KernelFigures, family: Family): PeerKernel | undefined {
  const { registers, occupancy, spills } = figures;
  if (readsKStep(family.vendor)) {
    const loop = kernel.assembly && kStep(family.vendor, kernel.assembly);
    if (!loop || loop.multiplyAdds < leastMultiplyAdds) return undefined;
    return { ...loop, registers, occupancy, spills };
  }
  const code = analysed(kernel, family);
  const main = code && mainLoop(code);
  const step = code && (kernel.shape ? stepOf(code, kernel.shape) : guessedStep(code));
  if (!main || !step || main.own.multiplyAdds < leastMultiplyAdds) return undefined;
  const whole = code.judge(step.work);
  return {
    multiplyAdds: main.own.multiplyAdds,
    mainLoop: code.judge(main.own).useful,
    step: whole.ofPeak,
    limit: whole.limit,
    cycles: figures.cyclesPerMultiplyAdd,
    registers,
    occupancy,
    spills,
  };
}

/** The better, the larger: the K step's share of peak, or multiply-adds for each cycle or instruction. */
const merit = ({ step, unitCycles, instructions }: PeerKernel) =>
  step ?? 1 / (unitCycles ?? instructions ?? Number.POSITIVE_INFINITY);

/** @throws Error where the engine does not start on this driver */
export async function peerFigures(family: Family, peer: StaticPeer): Promise<PeerFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'aand-static-'));
  try {
    const path = join(folder, 'record.jsonl');
    const args = [peer.script, JSON.stringify(peer.config)];
    const reads = [peer.config.folder];
    const { output, errors } = await runOn(family, { args, reads, record: { path, assembly: true } });
    const { own } = peer;
    const kernels = own
      ? (await compileFor(family, { filter: '', minimal: false, modelled: [1] })).kernels
      : unnamedKernels(readFileSync(path, 'utf8'), errors);
    if (own && untold(family) === undefined && !kernels.some((kernel) => kernel.assembly !== undefined))
      throw new Error(`${family.name}: the driver handed out no disassembly`);
    const judged = kernels.map((kernel) => ({ kernel, figures: figuresOf(kernel, family) }));
    const products = judged.flatMap(({ kernel, figures }) => productOf(kernel, figures, family) ?? []);
    const line = output.split('\n').find((text) => text.startsWith('@{"host_ms"'));
    if (!line) throw new Error(`${peer.engine} said nothing of its runs`);
    return {
      engine: peer.engine,
      kernels: kernels.length,
      spilling: judged.filter(({ figures }) => figures.spills > 0).length,
      products: products.sort((a, b) => b.multiplyAdds - a.multiplyAdds || merit(b) - merit(a)),
      host_ms: (JSON.parse(line.slice(1)) as { host_ms: number }).host_ms,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const percent = (share: number) => `${(100 * share).toFixed(0)} %`;

function productText(p: PeerKernel): string {
  const loop =
    p.mainLoop !== undefined && p.step !== undefined
      ? `main loop ${percent(p.mainLoop).padStart(5)}, K step ${percent(p.step).padStart(5)} of peak ` +
        `(${p.limit})${p.cycles === undefined ? '' : `, ${p.cycles} cycles per multiply-add`}`
      : `K step ${p.instructions?.toFixed(2)} instructions per multiply-add` +
        (p.unitCycles === undefined ? '' : `, ${p.unitCycles.toFixed(3)} cycles (${p.unit})`);
  return (
    `${String(p.multiplyAdds).padStart(4)} multiply-adds a turn: ${loop}, ` +
    `${p.registers ?? '?'} registers, ${p.occupancy ?? '?'} waves, ${p.spills} spills`
  );
}

/** An engine's best product on a family, and how far ours is ahead of it. */
export interface Comparison {
  readonly engine: string;
  /** Share of peak in percent (AMD, Intel, NVIDIA), else cycles (Mali) or instructions per multiply-add. */
  readonly best: string;
  readonly spilling: number;
  /** Our best product over its best; undefined where nothing is told, and for our own. */
  readonly ahead?: number;
}

/** Best against best; a family's first engine is ours. */
export function compareBest(engines: readonly PeerFigures[]): Comparison[] {
  const bests = engines.map(({ products }) =>
    products.reduce<PeerKernel | undefined>((m, p) => (m && merit(m) >= merit(p) ? m : p), undefined),
  );
  const [ours] = bests;
  return engines.map(({ engine, spilling }, i) => {
    const best = bests[i];
    const text = !best
      ? 'not told'
      : best.step !== undefined
        ? `${percent(best.step)}`
        : best.unitCycles === undefined
          ? `${best.instructions?.toFixed(2)} instructions`
          : `${best.unitCycles.toFixed(3)} cycles`;
    const ahead = i && best && ours ? merit(ours) / merit(best) : undefined;
    return { engine, best: text, spilling, ...(ahead !== undefined && { ahead }) };
  });
}

/** Every engine on a family: a line for itself, and one for its products that are alike. */
export function peerLines(family: Family, all: readonly PeerFigures[]): string {
  const lines = all.flatMap(({ engine, kernels, spilling, products, host_ms }) => {
    const counts = new Map<string, number>();
    for (const text of products.map(productText)) counts.set(text, (counts.get(text) ?? 0) + 1);
    return [
      `  ${engine}: ${kernels} kernels, ${spilling} spill; ${host_ms.toFixed(2)} ms of the host per run`,
      ...[...counts].map(([text, count]) => `    ${String(count).padStart(2)} x ${text}`),
    ];
  });
  return [
    `resnet18 forward on ${family.name} (${family.title}); ours: its convolutions; a K step of the others: ` +
      `the main loop ${turnsInStep} times, loops beside it once`,
    ...(untold(family) ? [`  nothing is told of loops: ${untold(family)}`] : []),
    ...lines,
    ...compareBest(all)
      .filter(({ ahead }) => ahead !== undefined)
      .map(
        ({ engine, ahead = 0 }) =>
          `  best product: ${ahead.toFixed(2)} times that of ${engine}` +
          (ahead < 1.8 ? ', less than 1.8' : ''),
      ),
  ].join('\n');
}
