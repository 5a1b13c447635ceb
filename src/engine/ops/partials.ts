/**
 * The second, fixed-order step of sums that were computed in pieces: no float atomics, so results repeat bit
 * for bit.
 */
import type { LoweringContext } from '../device/context.ts';
import { variantOf, workgroupsFor } from '../device/families.ts';
import type { Dispatch } from '../dispatch.ts';
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
  { profile, target }: LoweringContext,
  stride = quads(output),
): Dispatch {
  const kernel = profile.kernels.sums.partials({ splits, quads: quads(output) }, target);
  return {
    kernel: variantOf(kernel),
    bindings: { partial, output },
    uniforms: { count: quads(output), splits, stride },
    workgroups: workgroupsFor(kernel, quads(output)),
    writes: ['output'],
  };
}
