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
import type { CompiledKernel } from './records.ts';

/** An engine as a process: see bench/peers/worker.mjs. */
export interface StaticPeer {
  readonly engine: string;
  /** Our own: what a K step is, is known of its kernels. */
  readonly own?: boolean;
  readonly script: string;
  readonly config: object;
}

/** A kernel that multiplies in a loop. */
export interface PeerKernel {
  readonly multiplyAdds: number;
  /** Useful share of the main loop's vector cycles; of the slowest unit's in a K step. */
  readonly mainLoop: number;
  readonly step: number;
  readonly limit: string;
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

/** Turns of the loop inside a K step of a peer: steps of 32 values, a quad per turn, as tfjs writes them. */
const turnsInStep = 8;

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

/** The kernels of a record that a process left which gave them no names. */
export function unnamedKernels(text: string): CompiledKernel[] {
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

function productOf(kernel: CompiledKernel, figures: KernelFigures, family: Family): PeerKernel | undefined {
  const code = analysed(kernel, family);
  const main = code && mainLoop(code);
  const step = code && (kernel.shape ? stepOf(code, kernel.shape) : guessedStep(code));
  // A product of matrices multiplies quads by quads; others read what they multiply once.
  if (!main || !step || main.own.multiplyAdds < 16) return undefined;
  const whole = code.judge(step.work);
  return {
    multiplyAdds: main.own.multiplyAdds,
    mainLoop: code.judge(main.own).useful,
    step: whole.ofPeak,
    limit: whole.limit,
    registers: figures.registers,
    occupancy: figures.occupancy,
    spills: figures.spills,
  };
}

/** @throws Error where the engine does not start on this driver */
export async function peerFigures(family: Family, peer: StaticPeer): Promise<PeerFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'aand-static-'));
  try {
    const path = join(folder, 'record.jsonl');
    const args = [peer.script, JSON.stringify(peer.config)];
    const { output } = await runOn(family, args, { path, assembly: true });
    const { own } = peer;
    const kernels = own
      ? (await compileFor(family, { filter: '', minimal: false, modelled: [1] })).kernels
      : unnamedKernels(readFileSync(path, 'utf8'));
    const judged = kernels.map((kernel) => ({ kernel, figures: figuresOf(kernel, family) }));
    const products = judged.flatMap(({ kernel, figures }) => productOf(kernel, figures, family) ?? []);
    const line = output.split('\n').find((text) => text.startsWith('@{"host_ms"'));
    if (!line) throw new Error(`${peer.engine} said nothing of its runs`);
    return {
      engine: peer.engine,
      kernels: kernels.length,
      spilling: judged.filter(({ figures }) => figures.spills > 0).length,
      products: products.sort((a, b) => b.multiplyAdds - a.multiplyAdds || b.step - a.step),
      host_ms: (JSON.parse(line.slice(1)) as { host_ms: number }).host_ms,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const percent = (share: number) => `${(100 * share).toFixed(0)} %`;

function productText(p: PeerKernel): string {
  return (
    `${String(p.multiplyAdds).padStart(4)} multiply-adds a turn: main loop ` +
    `${percent(p.mainLoop).padStart(5)}, K step ${percent(p.step).padStart(5)} of peak (${p.limit}), ` +
    `${p.registers ?? '?'} registers, ${p.occupancy ?? '?'} waves, ${p.spills} spills`
  );
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
    ...lines,
  ].join('\n');
}
