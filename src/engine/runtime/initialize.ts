/** Draws parameters from their initial distributions. */

import { RandomStream } from '../../base/random.ts';
import { elements } from '../graph/tensor.ts';
import type { ParameterStore } from './store.ts';

/**
 * Draws every parameter of the groups (method, 3.7); each has a stream of its own, so order does not matter.
 */
export function initialize(store: ParameterStore, groups: readonly string[], seed: number): void {
  for (const spec of store.set.specs) {
    if (!groups.includes(spec.group)) continue;
    const random = new RandomStream(seed, 'initialize', spec.name);
    const { initial } = spec;
    const values = new Float32Array(elements(spec.shape));
    for (let i = 0; i < values.length; i++) {
      if (initial.kind === 'normal') values[i] = initial.deviation * random.normal();
      else if (initial.kind === 'uniform') values[i] = random.uniform(-initial.bound, initial.bound);
      else values[i] = initial.value;
    }
    store.write(spec.name, values);
  }
}
