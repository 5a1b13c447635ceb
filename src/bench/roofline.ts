/** What a program can reach at most on a device, from its work and the measured peaks. */
import { rangeOf } from '../base/lists.ts';
import type { Peaks } from '../engine/plan/forecast.ts';

/**
 * Bytes per second, in billions, that a copy of this much reaches, or one of any larger size that was
 * measured: a kernel of that many bytes of operands is not faster, wherever they lie.
 */
export function copyRate({ copies, gbytesPerSecond }: Peaks, bytes: number): number {
  if (!copies) return gbytesPerSecond;
  const from = Math.max(
    copies.findLastIndex((copy) => copy.bytes <= bytes),
    0,
  );
  return rangeOf(copies.slice(from).map((copy) => copy.gbytesPerSecond)).max;
}

/** The least time that a program's kernels take one after the other, and what bounds most of it. */
export interface Roof {
  readonly milliseconds: number;
  readonly bound: 'arithmetic' | 'memory';
}

/** @param steps arithmetic and bytes of operands of every kernel */
export function roofOf(
  steps: readonly { readonly flops: number; readonly bytes: number }[],
  peaks: Peaks,
): Roof {
  const spent = { arithmetic: 0, memory: 0 };
  for (const { flops, bytes } of steps) {
    const arithmetic = flops / peaks.gflops / 1e6;
    const memory = bytes / copyRate(peaks, bytes) / 1e6;
    if (arithmetic >= memory) spent.arithmetic += arithmetic;
    else spent.memory += memory;
  }
  return {
    milliseconds: spent.arithmetic + spent.memory,
    bound: spent.arithmetic >= spent.memory ? 'arithmetic' : 'memory',
  };
}
