/**
 * The second, fixed-order step of sums that were computed in pieces: no float atomics, so results repeat bit
 * for bit.
 */
import { type Dispatch, threads } from '../dispatch.ts';
import { quads, type Tensor } from '../graph/tensor.ts';

/**
 * Adds `splits` partial results in fixed order.
 *
 * @param stride quads from one partial result to the next
 */
export function sumPartials(
  partial: Tensor,
  output: Tensor,
  splits: number,
  stride = quads(output),
): Dispatch {
  return {
    kernel: { module: 'sum_partials', entry: 'main' },
    bindings: { partial, output },
    uniforms: { count: quads(output), splits, stride },
    workgroups: threads(quads(output)),
    writes: ['output'],
  };
}
