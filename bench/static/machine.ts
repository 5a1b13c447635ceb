/** A GPU as the analysis of kernels sees it: how its code is read, and what stretches of it take. */
import type { Block } from './loops.ts';

/** What a stretch of code takes, for one wave. */
export interface Work {
  /** Multiply-adds of a lane, fused or as instructions of their own. */
  readonly multiplyAdds: number;
  readonly matrix: number;
  /** Cycles of the SIMD's vector unit; slots of the scheduler where all instructions share them (NVIDIA). */
  readonly vector: number;
  /** Instructions of the scalar unit, which works beside it. */
  readonly scalar: number;
  /** Bytes of all lanes to and from workgroup memory, and to and from memory. */
  readonly ldsBytes: number;
  readonly memoryBytes: number;
  readonly ldsStores: number;
}

export const noWork: Work = {
  multiplyAdds: 0,
  matrix: 0,
  vector: 0,
  scalar: 0,
  ldsBytes: 0,
  memoryBytes: 0,
  ldsStores: 0,
};

export function addWork(a: Work, b: Work, times = 1): Work {
  const keys = Object.keys(noWork) as (keyof Work)[];
  return Object.fromEntries(keys.map((key) => [key, a[key] + times * b[key]])) as unknown as Work;
}

export type Limit = 'vector' | 'LDS' | 'memory' | 'scalar' | 'issue';

export interface Judgement {
  /** Multiply-adds as a share of what the vector unit (or the matrix units) could do in its cycles. */
  readonly useful: number;
  /** The same share of the cycles that the slowest of the units needs. */
  readonly ofPeak: number;
  readonly limit: Limit;
  /** Cycles that one SIMD's share of the slowest unit needs. */
  readonly cycles: number;
}

export interface Machine<Instruction> {
  /** The blocks of a disassembly in their order. */
  parse(assembly: string): Block<Instruction>[];
  /** What these instructions take when each runs once. */
  work(code: readonly Instruction[]): Work;
  judge(work: Work): Judgement;
}
