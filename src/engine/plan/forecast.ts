/** What a program will need, from its plan alone: memory exactly, time from a device's measured peaks. */

import type { LoweringContext } from '../device/context.ts';
import { dispatchBytes } from '../dispatch.ts';
import type { Tape } from '../graph/tape.ts';
import type { Tensor } from '../graph/tensor.ts';
import { fuse } from '../passes/index.ts';
import { selectProgram } from './lower.ts';
import { type MemoryLimits, planMemory } from './memory.ts';

/** What a device reaches at most. */
export interface Peaks {
  /** Billions of floating-point operations per second, in 32 bits. */
  readonly gflops: number;
  /** Billions of bytes per second of a large copy by a kernel, read and written. */
  readonly gbytesPerSecond: number;
  /** What copies of several sizes reach at best, the smallest first; absent where it was not measured. */
  readonly copies?: readonly CopyRate[];
}

/** What copies of a size reach: small ones come from a cache. */
export interface CopyRate {
  /** Read and written, together. */
  readonly bytes: number;
  readonly gbytesPerSecond: number;
}

export interface Forecast {
  /** Memory of the program without parameters, in bytes. */
  readonly bytes: number;
  readonly flops: number;
  readonly dispatches: number;
  readonly milliseconds: number;
}

/** Share of the roofline that the kernels reach (bench/results: 0.3 to 0.6 on software drivers). */
const typicalShare = 0.4;

/** @throws Error naming the tensor, where one is larger than the device binds */
export function forecast(
  tape: Tape,
  outputs: readonly Tensor[],
  context: LoweringContext,
  limits: MemoryLimits,
  peaks: Peaks,
): Forecast {
  const fused = fuse(tape, outputs, context);
  const plans = { ...selectProgram(fused, context), outputs };
  const { bytes } = planMemory(tape, plans, limits);
  let [flops, seconds, dispatches] = [0, 0, 0];
  for (const dispatch of plans.main.flatMap((planned) => planned.dispatches)) {
    const own = dispatch.flops ?? 0;
    flops += own;
    if (dispatch.kernel !== 'copy') dispatches++;
    seconds += Math.max(own / (peaks.gflops * 1e9), dispatchBytes(dispatch) / (peaks.gbytesPerSecond * 1e9));
  }
  return { bytes, flops, dispatches, milliseconds: (1000 * seconds) / typicalShare };
}
