/** From what each vendor's compiler says of a kernel to figures of one kind. */

import { amdMachine } from './amd_model.ts';
import type { Family, Vendor } from './families.ts';
import { intelCyclesPerMultiplyAdd, intelMachine } from './intel_model.ts';
import { type AnalysedKernel, analyse, mainLoop, stepOf } from './kernel.ts';
import type { Limit } from './machine.ts';
import { nvidiaMachine } from './nvidia_model.ts';
import type { CompiledKernel } from './records.ts';

/** A share of the peak, with the unit that limits it. */
export interface Share {
  /** From 0 to 1, rounded to thousandths. */
  readonly share: number;
  readonly limit: Limit;
}

/** What is kept of a kernel. Figures that a compiler does not tell are absent. */
export interface KernelFigures {
  readonly programs: readonly string[];
  /** Lanes of a subgroup as compiled. */
  readonly subgroup: number;
  /** Of a lane; half registers on Apple. */
  readonly registers?: number;
  /** Registers that went to memory, or instructions that bring them there, as the compiler counts them. */
  readonly spills: number;
  readonly fills?: number;
  /** Bytes of memory of a lane's own: spilled registers and arrays that no registers hold. */
  readonly scratch?: number;
  /** Bytes of workgroup memory. */
  readonly lds?: number;
  /** As {@link occupancyUnits} says. */
  readonly occupancy?: number;
  readonly instructions?: number;
  /** The compiler's own count, which guesses how often loops turn. */
  readonly cycles?: number;
  /**
   * The compiler's cycles per multiply-add of eight lanes, the turns of loops guessed alike (Intel).
   */
  readonly cyclesPerMultiplyAdd?: number;
  /** Cycles of arithmetic and of loads and stores in a turn of the whole code (Mali). */
  readonly arithmetic?: number;
  readonly loadStore?: number;
  /** Multiply-adds of the main loop as a share of what its vector cycles could do (AMD, Intel, NVIDIA). */
  readonly mainLoop?: Share;
  /** Multiply-adds of a K step as a share of what the slowest unit's cycles could do (the same). */
  readonly step?: Share;
}

/** What `occupancy` counts. */
export const occupancyUnits: Readonly<Record<Vendor, string>> = {
  amd: 'waves per SIMD',
  intel: 'not told',
  adreno: 'waves per core, of 16',
  mali: 'threads, of 2 halves of the register file',
  apple: 'threads, of 1024',
  nvidia: 'not told',
};

type Read = (kernel: CompiledKernel, family: Family) => Omit<KernelFigures, 'programs' | 'subgroup'>;

/** Leaves out what the compiler does not tell. */
function told(figures: { readonly [K in keyof KernelFigures]?: KernelFigures[K] | undefined }) {
  return Object.fromEntries(
    Object.entries(figures).filter(([, value]) => value !== undefined),
  ) as Partial<KernelFigures>;
}

const rounded = (share: number) => Math.round(1000 * share) / 1000;

/** What analyses a family's disassembly at a size of its subgroups; undefined where it is not modelled. */
function analysis({ vendor, generation, engineLanes }: Family) {
  if (vendor === 'nvidia') return (assembly: string) => analyse(assembly, nvidiaMachine);
  if (engineLanes !== undefined)
    return (assembly: string, subgroup: number) => analyse(assembly, intelMachine(engineLanes, subgroup));
  if (generation)
    return (assembly: string, subgroup: number) => analyse(assembly, amdMachine(generation, subgroup));
  return undefined;
}

/** Whether {@link analysed} tells of the loops of a family's kernels (AMD, Intel, NVIDIA). */
export const modelsLoops = (family: Family): boolean => analysis(family) !== undefined;

/** The loops of a kernel whose disassembly is read here. */
export function analysed({ assembly, subgroup }: CompiledKernel, family: Family): AnalysedKernel | undefined {
  return assembly === undefined ? undefined : analysis(family)?.(assembly, subgroup);
}

/** The shares of the main loop and of the K step. */
function shares(compiled: CompiledKernel, family: Family) {
  const kernel = analysed(compiled, family);
  const main = kernel && mainLoop(kernel);
  const step = kernel && compiled.shape && stepOf(kernel, compiled.shape);
  const inner = main && kernel.judge(main.own);
  const whole = step && kernel.judge(step.work);
  return {
    mainLoop: inner && { share: rounded(inner.useful), limit: inner.limit },
    step: whole && { share: rounded(whole.ofPeak), limit: whole.limit },
  };
}

function amd(kernel: CompiledKernel, family: Family) {
  const { statistics: s } = kernel;
  return {
    spills: (s['Spilled VGPRs'] ?? 0) + (s['Spilled SGPRs'] ?? 0),
    ...told({
      registers: s.VGPRs,
      scratch: s['Scratch size'],
      lds: s['LDS size'],
      occupancy: s['Subgroups per SIMD'],
      instructions: s.Instructions,
      cycles: s['Inverse Throughput'],
      ...shares(kernel, family),
    }),
  };
}

function intel(kernel: CompiledKernel, family: Family) {
  const { statistics: s, assembly } = kernel;
  const cycles = s['Cycle Count'];
  const perProduct = assembly && cycles ? intelCyclesPerMultiplyAdd(assembly, cycles) : undefined;
  return {
    spills: s['Spill Count'] ?? 0,
    ...told({
      registers: s['Max live registers'],
      fills: s['Fill Count'],
      scratch: s['Scratch Memory Size'],
      lds: s['Workgroup Memory Size'],
      instructions: s['Instruction Count'],
      cycles,
      cyclesPerMultiplyAdd: perProduct === undefined ? undefined : Math.round(100 * perProduct) / 100,
      ...shares(kernel, family),
    }),
  };
}

function adreno({ statistics: s }: CompiledKernel) {
  return {
    spills: s['STP Count'] ?? 0,
    ...told({
      registers: s['Registers used'],
      fills: s['LDP Count'],
      occupancy: s['Max Waves Per Core'],
      instructions: s['Instruction Count'],
    }),
  };
}

/** `1111 inst, 160.000000 cycles, 2.046875 fma, ..., 17:72 spills:fills` by name. */
export function printedStatistics(line: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [, value, other, name = ''] of line.matchAll(/([\d.]+)(?::([\d.]+))? ([\w:]+)/g)) {
    const [first = '', second] = name.split(':');
    found[first] = Number(value);
    if (second !== undefined) found[second] = Number(other);
  }
  return found;
}

function mali({ printed = '' }: CompiledKernel) {
  const s = printedStatistics(printed);
  const arithmetic = Math.max(s.fma ?? 0, s.cvt ?? 0, s.sfu ?? 0);
  return {
    spills: s.spills ?? 0,
    ...told({
      fills: s.fills,
      occupancy: s.threads,
      instructions: s.inst,
      cycles: s.cycles,
      arithmetic,
      loadStore: s.ls,
    }),
  };
}

function apple({ printed = '' }: CompiledKernel) {
  const s = printedStatistics(printed);
  return {
    spills: s.spills ?? 0,
    ...told({
      registers: s.regs,
      fills: s.fills,
      scratch: s.scratch,
      occupancy: s.threads,
      instructions: s.inst,
      cycles: s.alu,
    }),
  };
}

function nvidia(kernel: CompiledKernel, family: Family) {
  const { statistics: s } = kernel;
  const scratch = s['SLM Size'] ?? 0;
  return {
    // The compiler tells bytes of local memory alone.
    spills: scratch / 4,
    scratch,
    ...told({
      registers: s['Number of GPRs'],
      instructions: s['Instruction count'],
      ...shares(kernel, family),
    }),
  };
}

const readers: Readonly<Record<Vendor, Read>> = { amd, intel, adreno, mali, apple, nvidia };

/** The figures of a kernel that was compiled. */
export function figuresOf(kernel: CompiledKernel, family: Family): KernelFigures {
  const { programs, subgroup } = kernel;
  return { programs, subgroup, ...readers[family.vendor](kernel, family) };
}
