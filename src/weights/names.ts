/** Between the engine's layouts and the tensors of PyTorch state dicts: OIHW convolutions, [1, 2L, d] keys. */
import type { ParameterSpec } from '../engine/parameters.ts';

type Four = readonly [number, number, number, number];

function isKeys(name: string): boolean {
  return name.endsWith('K_list.0');
}

/** Shape of a parameter in a state dict. */
export function storedShape({ name, shape, layout }: Pick<ParameterSpec, 'name' | 'shape' | 'layout'>): number[] {
  if (layout !== 'filter') return [...shape];
  const [kh, kw, ci, co] = shape as Four;
  return isKeys(name) ? [1, ci, co] : [co, ci, kh, kw];
}

/** A state dict's values in the order of the engine's shape ([kh, kw, Ci, Co] for filters). */
export function fromStored(spec: Pick<ParameterSpec, 'name' | 'shape' | 'layout'>, values: Float32Array): Float32Array {
  if (spec.layout !== 'filter' || isKeys(spec.name)) return values;
  const [kh, kw, ci, co] = spec.shape as Four;
  const area = kh * kw;
  const result = new Float32Array(values.length);
  for (let o = 0; o < co; o++)
    for (let i = 0; i < ci; i++)
      for (let tap = 0; tap < area; tap++)
        result[(tap * ci + i) * co + o] = values[(o * ci + i) * area + tap] as number;
  return result;
}

/** The inverse of {@link fromStored}. */
export function toStored(spec: Pick<ParameterSpec, 'name' | 'shape' | 'layout'>, values: Float32Array): Float32Array {
  if (spec.layout !== 'filter' || isKeys(spec.name)) return values;
  const [kh, kw, ci, co] = spec.shape as Four;
  const area = kh * kw;
  const result = new Float32Array(values.length);
  for (let o = 0; o < co; o++)
    for (let i = 0; i < ci; i++)
      for (let tap = 0; tap < area; tap++)
        result[(o * ci + i) * area + tap] = values[(tap * ci + i) * co + o] as number;
  return result;
}
