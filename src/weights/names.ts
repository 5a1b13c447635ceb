/**
 * Between the engine's layouts and the tensors of PyTorch state dicts: OIHW convolutions, [1, 2L, d] keys.
 */
import type { ParameterSpec } from '../engine/graph/parameter_set.ts';

type Four = readonly [number, number, number, number];
type Spec = Pick<ParameterSpec, 'name' | 'shape' | 'layout'>;

function isKeys(name: string): boolean {
  return name.endsWith('K_list.0');
}

/** Shape of a parameter in a state dict. */
export function storedShape({ name, shape, layout }: Spec): number[] {
  if (layout !== 'filter') return [...shape];
  const [kh, kw, ci, co] = shape as Four;
  return isKeys(name) ? [1, ci, co] : [co, ci, kh, kw];
}

// Output channels at a time: a line of the processor's cache, so that neither side of a transposition jumps
// at every value.
const block = 16;

/** Convolution weights of a state dict [Co, Ci, kh, kw] in the engine's order [kh, kw, Ci, Co], or back. */
function reorder([kh, kw, ci, co]: Four, from: Float32Array, to: Float32Array, back: boolean): void {
  const area = kh * kw;
  const row = ci * area;
  for (let first = 0; first < co; first += block) {
    const end = Math.min(first + block, co);
    for (let i = 0; i < ci; i++)
      for (let tap = 0; tap < area; tap++) {
        const stored = i * area + tap;
        const own = (tap * ci + i) * co;
        if (back) for (let o = first; o < end; o++) to[o * row + stored] = from[own + o] as number;
        else for (let o = first; o < end; o++) to[own + o] = from[o * row + stored] as number;
      }
  }
}

/**
 * A state dict's values in the order of the engine's shape ([kh, kw, Ci, Co] for filters).
 *
 * @param into memory for the result, of at least as many values; new memory by default
 */
export function fromStored(spec: Spec, values: Float32Array, into?: Float32Array): Float32Array {
  if (spec.layout !== 'filter' || isKeys(spec.name)) return values;
  const result = into?.subarray(0, values.length) ?? new Float32Array(values.length);
  reorder(spec.shape as Four, values, result, false);
  return result;
}

/** The inverse of {@link fromStored}. */
export function toStored(spec: Spec, values: Float32Array): Float32Array {
  if (spec.layout !== 'filter' || isKeys(spec.name)) return values;
  const result = new Float32Array(values.length);
  reorder(spec.shape as Four, values, result, true);
  return result;
}
