/** The loops of a kernel: natural loops of its blocks, nested. */

/** Instructions that run one after the other. */
export interface Block<Instruction> {
  readonly name: string;
  readonly code: readonly Instruction[];
  /** Numbers of the blocks that may follow. */
  readonly next: readonly number[];
}

export interface Loop {
  /** Number of the block that it begins with. */
  readonly head: number;
  /** Numbers of all its blocks, those of inner loops included. */
  readonly body: ReadonlySet<number>;
  /** The loops right inside it, in the order of their heads. */
  readonly inner: readonly Loop[];
}

/** For every block the blocks that every way to it passes, as bits; none for those that cannot be reached. */
function dominators(before: readonly (readonly number[])[]): bigint[] {
  const all = (1n << BigInt(before.length)) - 1n;
  const result = before.map((_, i) => (i ? all : 1n));
  for (let changed = true; changed; ) {
    changed = false;
    before.forEach((sources, i) => {
      if (!i) return;
      const common = sources.length ? sources.reduce((set, j) => set & (result[j] as bigint), all) : 0n;
      const set = common | (1n << BigInt(i));
      if (set === result[i]) return;
      result[i] = set;
      changed = true;
    });
  }
  return result;
}

/** Numbers of the blocks that are reached from the first. */
function reached(blocks: readonly Block<unknown>[]): Set<number> {
  const found = new Set([0]);
  // What is added meanwhile is visited too.
  for (const at of found) for (const next of blocks[at]?.next ?? []) found.add(next);
  return found;
}

/** Heads of loops with their blocks; edges back to the same head are one loop. */
function bodies(blocks: readonly Block<unknown>[]): Map<number, Set<number>> {
  const ways = reached(blocks);
  const before: number[][] = blocks.map(() => []);
  for (const i of ways) for (const j of blocks[i]?.next ?? []) before[j]?.push(i);
  const above = dominators(before);
  const found = new Map<number, Set<number>>();
  for (const i of ways) {
    for (const head of blocks[i]?.next ?? []) {
      if (!(((above[i] as bigint) >> BigInt(head)) & 1n)) continue;
      const body = found.get(head) ?? new Set([head]);
      const open = [i];
      for (let at = open.pop(); at !== undefined; at = open.pop()) {
        if (body.has(at)) continue;
        body.add(at);
        open.push(...(before[at] as number[]));
      }
      found.set(head, body);
    }
  }
  return found;
}

/** The outermost loops in the order of their heads. */
export function findLoops(blocks: readonly Block<unknown>[]): Loop[] {
  const loops = [...bodies(blocks)]
    .map(([head, body]) => ({ head, body, inner: [] as Loop[] }))
    .sort((a, b) => b.body.size - a.body.size);
  const outermost: Loop[] = [];
  loops.forEach((loop, i) => {
    // The smallest of those that are larger and contain it.
    const outer = loops.slice(0, i).findLast(({ body }) => body.size > loop.body.size && body.has(loop.head));
    (outer?.inner ?? outermost).push(loop);
  });
  const sort = (list: Loop[]) => list.sort((a, b) => a.head - b.head);
  for (const { inner } of loops) sort(inner);
  return sort(outermost);
}

/** A loop and all inside it, outer ones first. */
export function nested(loop: Loop): Loop[] {
  return [loop, ...loop.inner.flatMap(nested)];
}

/** Blocks of a loop that are in none of its inner loops. */
export function ownBlocks({ body, inner }: Loop): number[] {
  return [...body].filter((block) => !inner.some((loop) => loop.body.has(block)));
}
