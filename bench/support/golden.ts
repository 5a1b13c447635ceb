/**
 * The golden sets: the rule that rebuilds inputs, and the comparison with a stated tolerance. No Node, no
 * browser API.
 */

import { ruleTensor } from '../../src/bench/rule.ts';
import type { SafetensorsFile } from '../../src/weights/safetensors.ts';

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
