/**
 * The families on GPUs that sum up whole tensors or images, or take the largest of them. Each thread has at
 * least four loads on its way, and there are as many workgroups as that leaves. A second dispatch adds up
 * what several workgroups leave; data of one workgroup need none.
 */
import { sumThreads, workgroupSize } from '../../../kernels/sizes.ts';
import {
  type Choice,
  type ItemKernel,
  itemPerThread,
  type KernelFamilies,
  type PoolProblem,
} from './families.ts';
import { acrossChannels, enoughWorkgroups } from './gpu_rows.ts';

/** What one workgroup adds up in a second dispatch, a value for each of its threads. */
const mostParts = sumThreads;

/** A sum whose threads take `loads` items each at least, and whose parts one workgroup can add up. */
function sharedSum(module: ItemKernel['module'], entry: string, count: number, loads: number): ItemKernel {
  const least = loads * sumThreads;
  const shared = Math.ceil(count / mostParts / sumThreads) * sumThreads;
  return { module, entry, itemsPerWorkgroup: Math.max(least, shared) };
}

// Of positions that one workgroup takes at once without a second dispatch.
const wholeLosses = 4 * sumThreads;

/** Values of an image that a thread of `topk_mean_rounds` holds. */
const heldValues = 16;
const heldByWorkgroup = heldValues * sumThreads;

// More loads at once would not fit the registers of all GPUs.
const widestWindow = 3;

/** A pooling with all loads of a thread on their way at once, where its windows are small. */
const pooling =
  (entry: string): Choice<PoolProblem> =>
  ({ kernel, stride }) => {
    if (kernel > widestWindow) return itemPerThread('max_pool2d', entry);
    const constants = { KERNEL: kernel, COVER: Math.ceil(kernel / stride) };
    return { ...itemPerThread('max_pool2d_ahead', entry), constants };
  };

// Sums of so many splits, of so few quads, wait too long with one thread for each quad.
const slicedSplits = 16;
const slicedQuads = 16384;

/** Threads that share the splits of a quad: more where few quads are few workgroups. */
function slicesOf(splits: number, quads: number): number {
  let slices = splits >= slicedSplits && quads <= slicedQuads ? 8 : 1;
  const few = enoughWorkgroups * workgroupSize;
  while (slices < workgroupSize && 4 * slices < splits && slices * quads < few) slices *= 2;
  return slices;
}

export const sumKernels: Pick<KernelFamilies, 'maxPool' | 'averagePool' | 'topk' | 'focalLoss' | 'sums'> = {
  maxPool: { forward: pooling('forward'), gradient: pooling('gradient') },
  averagePool({ channelQuads }) {
    const quads = acrossChannels(channelQuads);
    return {
      module: 'average_pool_columns',
      entry: 'forward',
      constants: { QUADS: quads },
      itemsPerWorkgroup: quads,
    };
  },
  topk({ count, k }) {
    const rounds = (values: number, valuesPerWorkgroup: number) =>
      ({
        module: 'topk_mean_rounds',
        entry: 'forward',
        constants: { VALUES: Math.ceil(values / sumThreads) },
        valuesPerWorkgroup,
      }) as const;
    if (count <= heldByWorkgroup) return rounds(count, heldByWorkgroup);
    const candidates = Math.ceil(count / heldByWorkgroup) * k;
    if (candidates <= heldByWorkgroup) return rounds(heldByWorkgroup, heldByWorkgroup);
    return { module: 'topk_mean', entry: 'forward', valuesPerWorkgroup: Number.POSITIVE_INFINITY };
  },
  // Two loads for a position.
  focalLoss: ({ count }) =>
    count <= wholeLosses
      ? { module: 'focal_loss_groups', entry: 'forward', itemsPerWorkgroup: wholeLosses }
      : sharedSum('focal_loss_groups', 'forward', count, 2),
  sums: {
    mean: ({ count }) => sharedSum('reduce_groups', 'mean', count, 4),
    // Two loads for a quad.
    squareError: ({ count }) => sharedSum('reduce_groups', 'square_error', count, 2),
    partials({ splits, quads }) {
      const slices = slicesOf(splits, quads);
      if (slices === 1) return itemPerThread('sum_partials', 'ahead');
      return {
        module: 'sum_partials_sliced',
        entry: 'main',
        constants: { SLICES: slices },
        itemsPerWorkgroup: workgroupSize / slices,
      };
    },
  },
};
