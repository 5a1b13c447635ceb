/** Runs single operations on the engine and judges them by float64 references. */
import { expect } from 'vitest';
import { RandomStream } from '../../src/base/random.ts';
import { gradients } from '../../src/engine/gradients.ts';
import { ParameterSet } from '../../src/engine/graph/parameter_set.ts';
import { Tape } from '../../src/engine/graph/tape.ts';
import { elements, type Layout, type Tensor } from '../../src/engine/graph/tensor.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { Program } from '../../src/engine/runtime/program.ts';
import { type Retargeting, retarget } from '../../src/engine/runtime/retarget.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import * as oracle from './oracle.ts';

export interface Input {
  readonly shape: readonly number[];
  readonly layout: Layout;
  readonly low?: number;
  readonly high?: number;
  /** Values instead of random ones. */
  readonly values?: Float32Array;
  /** The bits of the values are whole numbers: the program takes a Uint32Array. */
  readonly words?: boolean;
}

type Inputs = Record<string, Input>;

export interface Operation {
  readonly inputs: Inputs;
  /** Inputs whose gradient is compared. */
  readonly differentiable: readonly string[];
  readonly record: (tape: Tape, inputs: Record<string, Tensor>) => Tensor;
  readonly reference: (inputs: Record<string, oracle.Array64>) => oracle.Array64;
}

export function randomValues(
  { shape, low = -1, high = 1, values }: Input,
  random: RandomStream,
): Float32Array {
  return values ?? Float32Array.from({ length: elements(shape) }, () => random.uniform(low, high));
}

/**
 * Runs an operation and, where g is given, its gradients (outputs `d_NAME`) with the choices of another
 * device.
 */
export async function run(
  engine: Engine,
  op: Operation,
  values: Record<string, Float32Array>,
  g?: Float32Array,
  choices: Retargeting = {},
): Promise<Record<string, Float32Array>> {
  const tape = new Tape(new ParameterSet());
  const inputs = Object.fromEntries(
    Object.entries(op.inputs).map(([name, { shape, layout }]) => [name, tape.input(name, shape, layout)]),
  );
  const y = op.record(tape, inputs);
  const outputs: Record<string, Tensor> = { y };
  const given: Record<string, Float32Array | Uint32Array> = { ...values };
  for (const [name, { words }] of Object.entries(op.inputs)) {
    const bits = values[name];
    if (words && bits) given[name] = new Uint32Array(bits.buffer, bits.byteOffset, bits.length);
  }
  if (g) {
    const seed = tape.input('seed', y.shape, y.layout);
    given.seed = g;
    const wanted = op.differentiable.map((name) => inputs[name] as Tensor);
    const found = gradients(tape, new Map([[y, seed]]), wanted);
    op.differentiable.forEach((name, i) => {
      outputs[`d_${name}`] = found.get(wanted[i] as Tensor) as Tensor;
    });
  }
  const store = new ParameterStore(engine, tape.parameters);
  const program = await Program.compile(retarget(engine, choices), tape, { outputs, store });
  try {
    return await program.run(given);
  } finally {
    program.destroy();
  }
}

export function expectClose(actual: Float32Array, expected: Float64Array, terms: number, what: string): void {
  let largest = 0;
  for (const value of expected) largest = Math.max(largest, Math.abs(value));
  // Rounding errors add up like a random walk: with the square root of the number of terms.
  const allowed = 1e-6 + 4e-7 * Math.sqrt(terms) * Math.max(largest, 1e-3) + 2e-6 * largest;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs((actual[i] ?? Number.NaN) - (expected[i] as number));
    worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
  }
  expect(worst, `${what}: largest error ${worst}, allowed ${allowed}`).toBeLessThanOrEqual(allowed);
}

/**
 * Compares an operation with its reference, and its gradients with finite differences of it.
 *
 * @param choices those of another device
 */
export async function check(
  engine: Engine,
  op: Operation,
  seed: number,
  terms: number,
  what: string,
  choices: Retargeting = {},
): Promise<void> {
  const random = new RandomStream('ops test', seed);
  const values = Object.fromEntries(
    Object.entries(op.inputs).map(([name, input]) => [name, randomValues(input, random)]),
  );
  const arrays = Object.fromEntries(
    Object.entries(op.inputs).map(([name, { shape }]) => [name, oracle.array(shape, values[name])]),
  );
  const expected = op.reference(arrays);
  const g = Float32Array.from({ length: expected.data.length }, () => random.uniform(-1, 1));
  const result = await run(engine, op, values, g, choices);
  expectClose(result.y as Float32Array, expected.data, terms, `${what} y`);
  for (const name of op.differentiable) {
    const f = (x: oracle.Array64) => op.reference({ ...arrays, [name]: x });
    const slope = oracle.finiteDifferences(f, arrays[name] as oracle.Array64, Float64Array.from(g));
    expectClose(result[`d_${name}`] as Float32Array, slope, terms * 4, `${what} d_${name}`);
  }
}

export const map = (shape: readonly number[], low = -1, high = 1): Input => ({
  shape,
  layout: 'dense',
  low,
  high,
});
export const features = (shape: readonly number[], low = -1, high = 1): Input => ({
  shape,
  layout: 'channels',
  low,
  high,
});
