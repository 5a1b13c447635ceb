/**
 * The kernel for matrix units with 16-bit operands, with plain arithmetic in the units' place, against
 * float64. Operands and weights lie in 16 bits and are multiplied so, sums are in 32 bits. The bound is that
 * of 32-bit kernels, for float64 gets the operands as they were rounded and their products are exact.
 */
import { expect } from 'vitest';
import { fromHalf, toHalf } from '../../src/base/half.ts';
import { RandomStream } from '../../src/base/random.ts';
import { type MatrixShape, matrix } from '../../src/engine/device/matrix_unit_kernels.ts';
import { ParameterSet } from '../../src/engine/graph/parameter_set.ts';
import { Tape } from '../../src/engine/graph/tape.ts';
import { elements, type Tensor } from '../../src/engine/graph/tensor.ts';
import { conv2d, convTranspose2d } from '../../src/engine/ops/conv2d.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { Program } from '../../src/engine/runtime/program.ts';
import { retarget } from '../../src/engine/runtime/retarget.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import { type ConvolutionCase, convolutions } from './convolutions.ts';
import { expectClose } from './operations.ts';
import * as oracle from './oracle.ts';

/** A unit's size (rows, columns, depth), and what a workgroup computes with it. */
export interface HalfUnits {
  readonly unit: readonly [rows: number, columns: number, depth: number];
  readonly shape: MatrixShape;
  /** Parts of the sum. */
  readonly splits?: number;
}

/** Random values that 16 bits hold exactly. */
const rounded = (shape: readonly number[], random: RandomStream) =>
  fromHalf(toHalf(Float32Array.from({ length: elements(shape) }, () => random.uniform(-1, 1))));

/** The weights of a 1x1 convolution that changes nothing. */
function identity(channels: number): Float32Array {
  const values = new Float32Array(channels ** 2);
  for (let i = 0; i < channels; i++) values[i * (channels + 1)] = 1;
  return values;
}

interface Chain {
  readonly x: readonly [number, number, number, number];
  readonly values: Float32Array;
  readonly w: readonly [number, number, number, number];
  readonly weights: Float32Array;
  record(tape: Tape, x: Tensor, w: Tensor): Tensor;
  /** Whether the result goes through 16 bits too. */
  readonly storesHalf?: boolean;
}

/** Runs x -> 16 bits -> the product -> (16 bits ->) y twice, and returns y, which must repeat. */
async function runChain(
  engine: Engine,
  chain: Chain,
  { unit, shape, splits = 1 }: HalfUnits,
): Promise<Float32Array> {
  const tape = new Tape(new ParameterSet({ half: true }));
  const weights = new Map<string, Float32Array>();
  const parameter = (name: string, dimensions: readonly number[], values: Float32Array) => {
    weights.set(name, values);
    return tape.parameter(name, dimensions, 'filter', 'model');
  };
  const copied = (name: string, tensor: Tensor) => {
    const channels = tensor.shape[3] as number;
    return conv2d(tape, tensor, parameter(name, [1, 1, channels, channels], identity(channels)));
  };
  const x = copied('before', tape.input('x', chain.x, 'channels'));
  const product = chain.record(tape, x, parameter('w', chain.w, chain.weights));
  const y = chain.storesHalf ? copied('after', product) : product;
  const store = new ParameterStore(engine, tape.parameters);
  for (const [name, values] of weights) store.write(name, values);
  const [rows, columns, depth] = unit;
  const { subgroupSize } = engine.target;
  const convolution = matrix(
    subgroupSize > 1 ? subgroupSize : 8,
    { component: 'f16', rows, columns, depth, emulated: true },
    shape,
  );
  const force = { convolution, splits, rewrites: { textures: false, winograd: false } };
  const program = await Program.compile(retarget(engine, { force }), tape, { outputs: { y }, store });
  try {
    // Both operands of the product have 16 bits, and the units take them so.
    expect(program.plan).toMatch(/conv2d_matrix\S*matrix_half\S*source_half\S*weights_half/);
    const { y: first } = await program.run({ x: chain.values });
    const { y: again } = await program.run({ x: chain.values });
    expect(again).toEqual(first);
    return first as Float32Array;
  } finally {
    program.destroy();
    store.destroy();
  }
}

function chainOf(name: string, { x, w, geometry }: ConvolutionCase): Chain {
  const random = new RandomStream(`half ${name}`);
  return {
    x,
    values: rounded(x, random),
    w,
    weights: rounded(w, random),
    record: (tape, source, weights) => conv2d(tape, source, weights, undefined, geometry),
  };
}

const expectedOf = (c: ConvolutionCase, { values, weights }: Chain) =>
  oracle.conv2d(oracle.array(c.x, values), oracle.array(c.w, weights), c.geometry).data;

/** One of {@link convolutions}. */
export async function expectHalfConvolution(engine: Engine, units: HalfUnits, name: string): Promise<void> {
  const c = convolutions[name] as ConvolutionCase;
  const chain = chainOf(name, c);
  const y = await runChain(engine, chain, units);
  expectClose(y, expectedOf(c, chain), c.w[0] * c.w[1] * c.w[2], 'y');
}

/** A transposed convolution, which reads weights the other way. */
export async function expectHalfTransposed(engine: Engine, units: HalfUnits): Promise<void> {
  const random = new RandomStream('half transposed');
  const [x, w] = [[2, 5, 4, 36] as const, [2, 2, 20, 36] as const];
  const chain: Chain = {
    x,
    values: rounded(x, random),
    w,
    weights: rounded(w, random),
    record: (tape, source, weights) => convTranspose2d(tape, source, weights, { stride: 2 }),
  };
  const y = await runChain(engine, chain, units);
  const geometry = { stride: 2, padding: 0, dilation: 1 };
  const [weights, dy] = [oracle.array(w, chain.weights), oracle.array(x, chain.values)];
  const { dx } = oracle.conv2dGradients(oracle.array([2, 10, 8, 20]), weights, dy, geometry);
  expectClose(y, dx.data, 4 * 36, 'y');
}

/** A result that stays in 16 bits is the sum, rounded once. */
export async function expectHalfStored(engine: Engine, units: HalfUnits): Promise<void> {
  const c = convolutions['odd channels'] as ConvolutionCase;
  const chain = { ...chainOf('stored', c), storesHalf: true };
  const y = await runChain(engine, chain, units);
  expect(fromHalf(toHalf(y))).toEqual(y);
  expectedOf(c, chain).forEach((value, i) => {
    // Half a step of 16 bits, and the error of the sum in 32 bits.
    const allowed = Math.max(Math.abs(value) * 2 ** -11, 2 ** -25) + 1e-5;
    expect(Math.abs((y[i] as number) - value), `y ${i}`).toBeLessThanOrEqual(allowed);
  });
}
