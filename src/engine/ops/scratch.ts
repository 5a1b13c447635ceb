/**
 * Memory that an operation needs only between its own dispatches; `place` gives it a range like any value.
 */
import type { Layout, Tensor } from '../graph/tensor.ts';

export type Scratch = Tensor;

let next = -1;

/** A scratch tensor. Its id is negative, so that it never meets a tape's own. */
export function scratch(
  name: string,
  shape: readonly number[],
  layout: Layout = 'dense',
  half: boolean | undefined = false,
): Scratch {
  return { id: next--, name, role: 'value', shape, layout, half };
}
