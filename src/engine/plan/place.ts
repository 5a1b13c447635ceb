/**
 * Memory placement: every value and input gets an offset in an arena by liveness, greedily from the largest
 * to the smallest. Parameters, their gradients and constants have memory of their own.
 */
import { boundBytes, boundTensor, type Dispatch } from '../dispatch.ts';
import { byteLength, roundUp, type Tensor } from '../graph/tensor.ts';

export interface Placement {
  readonly arena: number;
  readonly offset: number;
  readonly size: number;
}

export interface PlaceResult {
  readonly placements: ReadonlyMap<Tensor, Placement>;
  readonly arenaSizes: readonly number[];
  /** Largest sum of live bytes at any dispatch: no placement can need less. */
  readonly lowerBound: number;
}

interface Interval {
  readonly tensor: Tensor;
  readonly size: number;
  first: number;
  last: number;
}

const alignment = 256;

/**
 * @param dispatches in order of execution
 * @param outputs tensors that must survive to the end
 * @param isOwn whether a tensor has memory of its own and is left out
 * @param arenaLimit largest size of one arena (the device's maxBufferSize)
 * @throws Error naming the tensor, where more of it is bound than a binding may hold, or where it is larger
 *   than an arena
 */
export function place(
  dispatches: readonly Dispatch[],
  outputs: readonly Tensor[],
  isOwn: (tensor: Tensor) => boolean,
  arenaLimit: number,
  bindingLimit: number,
): PlaceResult {
  const intervals = new Map<Tensor, Interval>();
  const largest = new Map<Tensor, number>();
  dispatches.forEach((dispatch, index) => {
    for (const binding of Object.values(dispatch.bindings)) {
      const tensor = boundTensor(binding);
      if (!tensor || isOwn(tensor)) continue;
      // A copy into an image binds nothing.
      if (dispatch.kernel !== 'copy')
        largest.set(tensor, Math.max(largest.get(tensor) ?? 0, boundBytes(binding)));
      const interval = intervals.get(tensor);
      if (interval) interval.last = index;
      else {
        const first = tensor.role === 'input' ? -1 : index;
        intervals.set(tensor, { tensor, size: roundUp(byteLength(tensor), alignment), first, last: index });
      }
    }
  });
  for (const tensor of outputs) {
    const interval = intervals.get(tensor);
    if (interval) interval.last = dispatches.length;
    else if (!isOwn(tensor) && tensor.role === 'input') {
      // An output that is an input as it came in.
      const size = roundUp(byteLength(tensor), alignment);
      intervals.set(tensor, { tensor, size, first: -1, last: dispatches.length });
    }
  }
  const list = [...intervals.values()];
  for (const { tensor, size } of list) {
    const bound = largest.get(tensor) ?? 0;
    const refuse = (needed: number, limit: number, what: string) => {
      const shape = `${tensor.name} [${tensor.shape}]`;
      throw new Error(
        `tensor ${shape} needs ${needed} bytes, more than the ${limit} that this device ${what}: ` +
          'use a smaller batch or image size',
      );
    };
    if (bound > bindingLimit) refuse(bound, bindingLimit, 'binds at once');
    if (size > arenaLimit) refuse(size, arenaLimit, 'gives to a buffer');
  }

  const live = new Array<number>(dispatches.length + 2).fill(0);
  for (const { size, first, last } of list)
    for (let step = first; step <= last; step++) live[step + 1] = (live[step + 1] as number) + size;

  list.sort((a, b) => b.size - a.size || a.first - b.first || a.tensor.id - b.tensor.id);
  const arenas: { interval: Interval; offset: number }[][] = [];
  const placements = new Map<Tensor, Placement>();
  const arenaSizes: number[] = [];
  for (const interval of list) {
    let chosen = -1;
    let offset = 0;
    for (let arena = 0; arena <= arenas.length && chosen < 0; arena++) {
      offset = gap(arenas[arena] ?? [], interval);
      if (offset + interval.size <= arenaLimit || arena === arenas.length) chosen = arena;
    }
    const arena = arenas[chosen] ?? [];
    arenas[chosen] = arena;
    arena.push({ interval, offset });
    arenaSizes[chosen] = Math.max(arenaSizes[chosen] ?? 0, offset + interval.size);
    placements.set(interval.tensor, { arena: chosen, offset, size: byteLength(interval.tensor) });
  }
  return { placements, arenaSizes, lowerBound: Math.max(0, ...live) };
}

/** Lowest offset at which an interval fits beside those it overlaps in time. */
function gap(arena: readonly { interval: Interval; offset: number }[], interval: Interval): number {
  const neighbours = arena
    .filter(({ interval: other }) => other.first <= interval.last && interval.first <= other.last)
    .sort((a, b) => a.offset - b.offset);
  let offset = 0;
  for (const neighbour of neighbours) {
    if (offset + interval.size <= neighbour.offset) break;
    offset = Math.max(offset, neighbour.offset + neighbour.interval.size);
  }
  return offset;
}

/** A readable table of placements, for tests and `--verbose`. */
export function printPlacement(result: PlaceResult): string {
  const lines = [...result.placements].map(
    ([tensor, { arena, offset, size }]) =>
      `${tensor.name} [${tensor.shape}] arena ${arena} +${offset} (${size})`,
  );
  return [...lines, `arenas ${result.arenaSizes.join(', ')}; lower bound ${result.lowerBound}`].join('\n');
}
