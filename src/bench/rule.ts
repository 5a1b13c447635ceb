/**
 * Inputs and parameters by a rule from their names: bench and tests rebuild them anywhere, without files. The
 * golden sets of the tests hold results for them. No Node, no browser API.
 */
import { elements } from '../engine/graph/tensor.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import { fromStored, storedShape } from '../weights/names.ts';

/** uniform(name)[i] of test/golden/README.md, scaled and shifted in float32. */
export function ruleTensor(name: string, count: number, scale = 1, shift = 0): Float32Array {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  const values = new Float32Array(count);
  const s = Math.fround(scale);
  const t = Math.fround(shift);
  for (let i = 0; i < count; i++) {
    let z = (hash + Math.imul(i, 0x9e3779b9)) >>> 0;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    z = (z ^ (z >>> 15)) >>> 0;
    values[i] = Math.fround(Math.fround((z >>> 8) / 2 ** 23 - 1) * s) + t;
  }
  return values;
}

/** Gives the tensors of one set of inputs; a set's salt tells its tensors from those of others. */
export interface RuleSource {
  rule(name: string, shape: readonly number[], scale?: number, shift?: number): Float32Array;
}

/** Parameter values by the rule of test/golden/README.md. */
export function ruleParameters(source: RuleSource, store: ParameterStore): void {
  for (const spec of store.set.specs) {
    const shape = storedShape(spec);
    const values = (scale: number, shift = 0) => source.rule(spec.name, shape, scale, shift);
    const count = elements(shape);
    let result: Float32Array;
    if (shape.length === 4) result = values(Math.fround(Math.sqrt(6 / (count / (shape[0] as number)))));
    else if (shape.length === 3) result = values(1);
    else if (spec.name.endsWith('running_mean')) result = values(0.1);
    else if (spec.name.endsWith('running_var')) result = values(0.25, 1);
    else if (spec.name.endsWith('weight')) result = values(0.2, 0.6);
    else result = values(0.05);
    store.write(spec.name, fromStored(spec, result));
  }
}
