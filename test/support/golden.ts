/**
 * The golden sets: the rule that rebuilds inputs, and the comparison with a stated tolerance. No Node, no
 * browser API.
 */
import type { SafetensorsFile } from '../../src/weights/safetensors.ts';

/** uniform(name)[i] of the golden README, scaled and shifted in float32. */
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

/** Permutes the axes of a row-major array: result axis i is source axis order[i]. */
export function permute(
  values: Float32Array,
  shape: readonly number[],
  order: readonly number[],
): Float32Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const target = order.map((axis) => shape[axis] as number);
  const steps = order.map((axis) => strides[axis] as number);
  const result = new Float32Array(values.length);
  const index = target.map(() => 0);
  for (let i = 0; i < result.length; i++) {
    result[i] = values[
      index.reduce((sum, value, axis) => sum + value * (steps[axis] as number), 0)
    ] as number;
    for (let axis = target.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (target[axis] as number)) break;
      index[axis] = 0;
    }
  }
  return result;
}

export const nchwToNhwc = (values: Float32Array, shape: readonly number[]) =>
  permute(values, shape, [0, 2, 3, 1]);
/** Shape is the NHWC one. */
export const nhwcToNchw = (values: Float32Array, shape: readonly number[]) =>
  permute(values, shape, [0, 3, 1, 2]);
export const oihwToHwio = (values: Float32Array, shape: readonly number[]) =>
  permute(values, shape, [2, 3, 1, 0]);
/** Shape is the HWIO one. */
export const hwioToOihw = (values: Float32Array, shape: readonly number[]) =>
  permute(values, shape, [3, 2, 0, 1]);

export interface Comparison {
  readonly name: string;
  readonly maxError: number;
  readonly allowed: number;
}

export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
}

/** |error| <= absolute + relative * max|reference|; NaN never passes. */
export function compare(
  name: string,
  actual: ArrayLike<number>,
  reference: ArrayLike<number>,
  tolerance: Tolerance,
): Comparison {
  let largest = 0;
  let maxError = actual.length === reference.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < reference.length; i++) {
    const expected = reference[i] as number;
    largest = Math.max(largest, Math.abs(expected));
    const error = Math.abs((actual[i] ?? Number.NaN) - expected);
    if (!(error <= maxError)) maxError = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
  }
  return { name, maxError, allowed: tolerance.absolute + tolerance.relative * largest };
}

/** The comparisons that exceed what is allowed. */
export const beyondTolerance = (comparisons: readonly Comparison[]) =>
  comparisons.filter(({ maxError, allowed }) => !(maxError <= allowed));

/** A golden file with its salt. */
export class GoldenSet {
  readonly file: SafetensorsFile;
  readonly salt: string;

  constructor(file: SafetensorsFile) {
    this.file = file;
    const salt = file.metadata.salt ?? '';
    this.salt = salt.startsWith('"') ? (JSON.parse(salt) as string) : salt;
  }

  has(name: string): boolean {
    return this.file.tensors.has(name);
  }

  get(name: string): Float32Array {
    return this.tensor(name).values;
  }

  shape(name: string): readonly number[] {
    return this.tensor(name).shape;
  }

  tensor(name: string) {
    const tensor = this.file.tensors.get(name);
    if (!tensor) throw new Error(`the golden set has no tensor '${name}'`);
    return tensor;
  }

  rule(name: string, shape: readonly number[], scale = 1, shift = 0): Float32Array {
    return ruleTensor(
      this.salt + name,
      shape.reduce((product, size) => product * size, 1),
      scale,
      shift,
    );
  }
}
