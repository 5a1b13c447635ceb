/**
 * Dispatches with fewer workgroups than a GPU wants, and why each is allowed: from plans, without a device.
 * A kernel that is not a matrix product passes where a thread has no more than one turn of loads; one with
 * more must stand in a list with its reason.
 */
import { type Dispatch, dispatchBytes, type KernelVariant } from '../../src/engine/dispatch.ts';
import { kernelContract } from '../../src/engine/kernels/own.ts';

/** Workgroups that a dispatch should have where its data allow it. */
export const wantedWorkgroups = 256;

/** Quads that a thread has on their way at once: the data of a dispatch allow no more threads below it. */
const quadsAtOnce = 4;

/** A kernel whose threads have more than one turn of loads in few workgroups. */
export interface AllowedGrid {
  readonly kernel: string;
  /** Quads of a thread at most, of all operands. */
  readonly most: number;
  readonly reason: string;
}

const another = 'another dispatch would cost more than these turns of loads';

export const allowedGrids: readonly AllowedGrid[] = [
  {
    kernel: 'batch_norm_columns.merge',
    most: 33,
    reason: `a workgroup for each quad of channels at most, eight loads at once: ${another}`,
  },
  {
    kernel: 'batch_norm_columns.merge_gradient',
    most: 5,
    reason: 'partial results and outputs beside four loads at once',
  },
  { kernel: 'convolution_sum.main', most: 9, reason: 'as many loads as the sum has ranges, and a store' },
  { kernel: 'cosine_distance_flat.flatten', most: 17, reason: `an image's positions: ${another}` },
  { kernel: 'gate_lanes.residual_gradient', most: 6, reason: 'three loads, two stores, all at once' },
  { kernel: 'normalize_lanes.forward', most: 9, reason: 'a row of keys: four loads at once, and its stores' },
  {
    kernel: 'normalize_lanes.gradient',
    most: 13,
    reason: 'a row of keys: eight loads at once, and its stores',
  },
  {
    kernel: 'rows.gather',
    most: 18,
    reason: 'counts the rows that are not gathered: a thread reads one quad',
  },
  { kernel: 'sum_partials.ahead', most: 5, reason: 'four loads at once and a store' },
  { kernel: 'sum_partials_sliced.main', most: 5, reason: 'four loads at once and a store' },
  { kernel: 'topk_mean_rounds.forward', most: 5, reason: 'an image in one workgroup, all its loads at once' },
];

/** A dispatch with few workgroups. */
export interface SmallGrid {
  /** Module and entry point. */
  readonly kernel: string;
  readonly workgroups: number;
  /** Of all operands, for each thread; 0 for matrix products, whose threads read the same quads. */
  readonly quadsPerThread: number;
  readonly reason: 'tiles of a matrix product' | 'one turn of loads' | 'listed' | undefined;
}

const products = /^(?:conv2d|weight_gradient)_/;

function threadsOf({ module, entry }: KernelVariant): number {
  const sizes = kernelContract(module)?.entries[entry]?.workgroupSize ?? [];
  return sizes.reduce((product, size) => product * Number(size), 1);
}

/** A program's dispatches with few workgroups; those whose data would allow more have no reason. */
export function smallGrids(dispatches: readonly Dispatch[], list = allowedGrids): SmallGrid[] {
  return dispatches.flatMap((dispatch): SmallGrid[] => {
    const { kernel: variant } = dispatch;
    const workgroups = dispatch.workgroups.reduce((product, count) => product * count, 1);
    if (variant === 'copy' || workgroups >= wantedWorkgroups) return [];
    const kernel = `${variant.module}.${variant.entry}`;
    if (products.test(variant.module))
      return [{ kernel, workgroups, quadsPerThread: 0, reason: 'tiles of a matrix product' }];
    const quadsPerThread = dispatchBytes(dispatch) / 16 / (workgroups * threadsOf(variant));
    const isListed = list.some((each) => each.kernel === kernel && quadsPerThread <= each.most);
    const reason = quadsPerThread <= quadsAtOnce ? 'one turn of loads' : isListed ? 'listed' : undefined;
    return [{ kernel, workgroups, quadsPerThread, reason }];
  });
}
