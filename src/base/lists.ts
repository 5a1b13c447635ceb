/**
 * Lists of any length. A spread into arguments (`Math.min(...values)`, `push(...items)`) overflows the stack
 * from about 100,000 items on; these functions do not.
 */

/** Smallest and largest of some values. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** The range of some values; infinite where there are none. */
export function rangeOf(values: Iterable<number>): Range {
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return { min, max };
}

/** Adds items at the end of a list. */
export function append<T>(list: T[], items: Iterable<T>): void {
  for (const item of items) list.push(item);
}

/** `count` items spread evenly over a list, in order. */
export function spread<T>(list: readonly T[], count: number): T[] {
  if (count >= list.length) return [...list];
  return Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count)] as T);
}
