/**
 * The model of an AMD GPU: cycles in which one SIMD's vector unit is taken, and those of its share of
 * workgroup memory and of the path to memory. It assumes no waits, no bank conflicts, no misses of caches:
 * what it says is an upper bound of what a kernel reaches, good for comparing kernels that read the same.
 */
import { type Instruction, type Kind, parseAmdAssembly } from './amd_assembly.ts';
import type { Judgement, Limit, Machine, Work } from './machine.ts';

export interface Generation {
  readonly name: 'gcn5' | 'rdna2' | 'rdna3';
  /** Of a compute unit. */
  readonly simds: number;
  /** Cycles of a vector instruction, by lanes of a wave. */
  readonly cycles: Readonly<Record<number, number>>;
  /** Multiply-adds in 32 bits of a SIMD and cycle at most. */
  readonly multiplyAdds: number;
  /** Simple 32-bit arithmetic of 64 lanes takes one cycle. */
  readonly dual: boolean;
  /** Waves that a SIMD must be able to hold, so that they hide each other's waits. */
  readonly leastWaves: number;
}

export const amdGenerations = {
  gcn5: { name: 'gcn5', simds: 4, cycles: { 64: 4 }, multiplyAdds: 16, dual: false, leastWaves: 2 },
  rdna2: { name: 'rdna2', simds: 2, cycles: { 32: 1, 64: 2 }, multiplyAdds: 32, dual: false, leastWaves: 6 },
  rdna3: { name: 'rdna3', simds: 2, cycles: { 32: 1, 64: 2 }, multiplyAdds: 64, dual: true, leastWaves: 6 },
} as const satisfies Record<string, Generation>;

// Bytes of a compute unit and cycle.
const ldsBytes = 128;
const memoryBytes = 64;
/** Multiply-adds of a matrix instruction of 16 x 16 x 16, its cycles, and so its peak. */
const matrix = { multiplyAdds: 4096, cycles: 32 };
// 32-bit products of integers, reciprocals, roots: a quarter of the rate.
const slow = /^v_(rcp|rsq|sqrt|exp|log|sin|cos|mul_lo_u32|mul_hi_u32|mul_hi_i32|mad_u64_u32|mad_i64_i32)/;
// Issued for both halves of 64 lanes at once where the generation is `dual`.
const simple = new RegExp(
  '^v_((fma|fmac|fmaak|fmamk|mul|add|sub|subrev|max|min)_(f32|f16)|dot2acc_f32_f16|dot2c_f32_f16|mov_b32|' +
    'cndmask_b32|add_nc_u32|lshlrev_b32|and_b32)$',
);

function vectorCycles({ name, kind, second }: Instruction, generation: Generation, wave: number): number {
  if (kind === 'matrix') return matrix.cycles;
  if (second || !/^(fma|multiply|add|vector)$/.test(kind)) return 0;
  const full = generation.cycles[wave] ?? 1;
  const one = generation.dual && wave === 64 && simple.test(name) ? 1 : full;
  return slow.test(name) ? 4 * full : one;
}

/** What these instructions take when each runs once. */
export function workOf(code: readonly Instruction[], generation: Generation, wave: number): Work {
  const counts = new Map<Kind, number>();
  let [multiplyAdds, vector, lds, memory] = [0, 0, 0, 0];
  for (const instruction of code) {
    const { kind, bytes } = instruction;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    multiplyAdds += instruction.multiplyAdds;
    vector += vectorCycles(instruction, generation, wave);
    if (kind.startsWith('lds')) lds += bytes * wave;
    if (kind.startsWith('memory')) memory += bytes * wave;
  }
  const count = (kind: Kind) => counts.get(kind) ?? 0;
  return {
    // A product and a sum of their own are as useful as one instruction for both.
    multiplyAdds: multiplyAdds + Math.min(count('multiply'), count('add')),
    matrix: count('matrix'),
    vector,
    scalar: count('scalar') + count('branch'),
    ldsBytes: lds,
    memoryBytes: memory,
    ldsStores: count('lds store'),
  };
}

/** How much of its cycles a stretch of code spends on products, and what limits it. */
export function judge(work: Work, { simds, multiplyAdds }: Generation, wave: number): Judgement {
  const units: readonly (readonly [Limit, number])[] = [
    ['vector', work.vector],
    ['LDS', (work.ldsBytes * simds) / ldsBytes],
    ['memory', (work.memoryBytes * simds) / memoryBytes],
    ['scalar', work.scalar],
  ];
  const [limit, cycles] = units.reduce((worst, unit) => (unit[1] > worst[1] ? unit : worst));
  const done = work.multiplyAdds * wave + work.matrix * matrix.multiplyAdds;
  const peak = work.matrix ? matrix.multiplyAdds / matrix.cycles : multiplyAdds;
  const share = (of: number) => (of ? done / (of * peak) : 0);
  return { useful: share(work.vector), ofPeak: share(cycles), limit, cycles };
}

/** A SIMD of a generation that runs waves of so many lanes. */
export function amdMachine(generation: Generation, wave: number): Machine<Instruction> {
  return {
    parse: parseAmdAssembly,
    work: (code) => workOf(code, generation, wave),
    judge: (work) => judge(work, generation, wave),
  };
}
