/** Memory that an operation needs only between its own dispatches; `place` gives it a range like any value. */
import type { Tensor } from '../tensor.ts';

export type Scratch = Tensor;

let next = -1;

/** A dense scratch tensor. Its id is negative, so that it never meets a tape's own. */
export function scratch(name: string, shape: readonly number[]): Scratch {
  return { id: next--, name, role: 'value', shape, layout: 'dense' };
}
