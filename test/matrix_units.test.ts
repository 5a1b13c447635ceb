/**
 * Matrix units: which of a device's are taken and for what, that their kernel is valid WGSL with the
 * extension (Dawn's null device compiles it), and, where a GPU has such units, its results. The kernel's
 * logic is tested with emulated units in convolutions.test.ts.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { create, globals } from 'webgpu';
import { RandomStream } from '../src/base/random.ts';
import { subgroupMatrixFeature, subgroupSizeControlFeature } from '../src/engine/device/adapter.ts';
import { apple } from '../src/engine/device/apple.ts';
import { chooseMatrixKernel } from '../src/engine/device/choose.ts';
import { type MatrixKernel, type MatrixProblem, variantOf } from '../src/engine/device/families.ts';
import { gpu } from '../src/engine/device/gpu.ts';
import {
  matrixMemory,
  matrixShapes,
  matrixUnitCandidates,
} from '../src/engine/device/matrix_unit_kernels.ts';
import { matrixUnits } from '../src/engine/device/matrix_units.ts';
import type { MatrixUnit, Target } from '../src/engine/device/target.ts';
import type { Tensor } from '../src/engine/graph/tensor.ts';
import { linkKernel } from '../src/engine/kernels/link.ts';
import { conv2d } from '../src/engine/ops/conv2d.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { checkMatrixUnits } from '../src/engine/runtime/matrix_check.ts';
import { expectClose, features, randomValues, run } from './support/operations.ts';
import * as oracle from './support/oracle.ts';
import { offered, planning } from './support/targets.ts';

const config = (componentType: string, M: number, N: number, K: number, resultComponentType = 'f32') => ({
  componentType,
  resultComponentType,
  M,
  N,
  K,
});

const unit = (component: 'f16' | 'f32', rows: number, columns: number, depth: number): MatrixUnit => ({
  component,
  rows,
  columns,
  depth,
});

const planned = (own: Partial<Target> = {}) =>
  planning({
    profile: gpu,
    target: { subgroupSize: 32, matrixUnits: [unit('f16', 16, 16, 16), unit('f32', 8, 8, 8)], ...own },
  });
const choose = (problem: MatrixProblem, own?: Partial<Target>) => chooseMatrixKernel(problem, planned(own));

const problem = (half: boolean, rows = 4096): MatrixProblem => ({
  family: 'convolution',
  rows,
  columnQuads: 16,
  depth: 144,
  half,
});

test('units with 32-bit sums whose size fits the kernel are taken, those that fit most shapes first', () => {
  expect(
    matrixUnits([
      config('f16', 8, 8, 8),
      config('f16', 16, 16, 16),
      config('f16', 16, 16, 16, 'f16'),
      config('i8', 16, 16, 32, 'i32'),
      config('f16', 64, 16, 16),
      // Four results of it would fill workgroup memory.
      config('f16', 32, 32, 16),
      config('f16', 16, 16, 32),
      config('f32', 8, 8, 8),
    ]),
  ).toEqual([
    unit('f16', 16, 16, 16),
    unit('f16', 8, 8, 8),
    // Fits the shape with the longest steps alone.
    unit('f16', 16, 16, 32),
    unit('f32', 8, 8, 8),
  ]);
});

const f16 = unit('f16', 16, 16, 16);
const f32 = unit('f32', 8, 8, 8);
/** Outputs of the tile that a kernel computes, rows by columns. */
const tileOf = ({ tile }: MatrixKernel) => `${tile.rows}x${4 * tile.columnQuads}`;

test('operands are multiplied in their own width, and small products elsewhere', () => {
  const conditions = (half: boolean, own?: Partial<Target>) => choose(problem(half), own).conditions;
  expect(conditions(true)).toEqual({ matrix_half: true, emulated: false });
  expect(conditions(false)).toEqual({ matrix_half: false, emulated: false });
  // Units for 32 bits multiply what lies in 16 bits as exactly.
  expect(conditions(true, { matrixUnits: [f32] })).toEqual({ matrix_half: false, emulated: false });
  expect(choose(problem(true, 4)).module).toBe('conv2d_register');
  // Many images that are small make no other sum of each.
  expect(choose({ ...problem(true, 4096), imageRows: 16 }).module).toBe('conv2d_register');
  expect(choose({ ...problem(true), columnQuads: 4 }).module).toBe('conv2d_register');
  expect(choose(problem(false), { matrixUnits: [f16] }).module).toBe('conv2d_register');
  // Without a known size of subgroups the kernel's lanes are unknown.
  expect(choose(problem(true), { subgroupSize: 0 }).module).toBe('conv2d_register');
  expect(choose({ ...problem(true), family: 'weight_gradient' }).module).toBe('weight_gradient_register');
});

test('tiles are as large as a busy device and the edges of the product allow', () => {
  const shape = (rows: number, columnQuads: number, own?: Partial<Target>) =>
    tileOf(choose({ ...problem(true, rows), columnQuads }, { parallelism: 512, ...own }));
  expect([shape(65536, 64), shape(4096, 64), shape(1024, 64)]).toEqual(['128x128', '64x128', '64x64']);
  // Half of a wider tile would lie beyond 64 columns.
  expect(shape(65536, 16)).toBe('64x64');
  expect(shape(1024, 64, { parallelism: 32 })).toBe('128x128');
  // The results of 8 x 8 units for more outputs would not stay in registers.
  expect(shape(65536, 64, { matrixUnits: [f32] })).toBe('64x64');
});

test('whatever the shape, a split sum has the same ranges, so that a batch of one has the same bits', () => {
  const kernels = matrixUnitCandidates('f16', planned().target);
  expect(kernels.map(tileOf)).toEqual(['128x128', '64x128', '64x64', '64x64']);
  for (const { splitting, step, constants } of kernels) {
    expect([splitting, step]).toEqual([kernels[0]?.splitting, kernels[0]?.step]);
    expect(step % (constants?.DEPTH as number)).toBe(0);
  }
});

test("a subgroup's size is asked for where the device leaves a choice", () => {
  const lanes = (own: Partial<Target>) => choose(problem(true), own).subgroupSize;
  const ranging = { subgroupSizes: { least: 32, most: 64 } };
  expect(lanes({ ...ranging, subgroupSizeControl: true })).toBe(32);
  expect(lanes({ subgroupSizes: { least: 32, most: 32 }, subgroupSizeControl: true })).toBeUndefined();
});

test('every shape fits workgroup memory at the default limits', () => {
  for (const own of [f16, f32, unit('f16', 16, 8, 16), unit('f16', 8, 16, 16), unit('f16', 32, 16, 16)]) {
    expect(matrixShapes(own).length).toBeGreaterThan(0);
    for (const shape of matrixShapes(own)) expect(matrixMemory(shape, own)).toBeLessThanOrEqual(16384);
  }
});

test('the kernel is valid WGSL for every unit, direction and epilogue', async () => {
  Object.assign(globalThis, globals);
  // Dawn's null device has every feature and runs nothing.
  const dawn = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
  const adapter = await dawn.requestAdapter();
  if (!adapter?.features.has(subgroupMatrixFeature))
    throw new Error('this Dawn does not know subgroup matrices');
  const device = await adapter.requestDevice({
    requiredFeatures: [subgroupMatrixFeature, 'subgroups', subgroupSizeControlFeature, 'shader-f16'],
  });
  const messages = async (code: string) => {
    device.pushErrorScope('validation');
    const info = await device.createShaderModule({ code }).getCompilationInfo();
    await device.popErrorScope();
    return info.messages.map(({ type, lineNum, message }) => `${type} in line ${lineNum}: ${message}`);
  };
  const variants = [
    {},
    { data_gradient: true },
    { split: true },
    { bias: true, add: true },
    { bias: true, gate: true },
  ];
  const units = [unit('f16', 16, 16, 16), unit('f16', 8, 16, 16), unit('f16', 8, 8, 8), unit('f32', 8, 8, 8)];
  const cases = units.flatMap((own) =>
    [16, 32, 64].flatMap((subgroupSize) => {
      const half = own.component === 'f16';
      const target = { subgroupSize, subgroupSizeControl: subgroupSize > 16, matrixUnits: [own] };
      const ranging = { ...target, subgroupSizes: { least: 32, most: 64 } };
      const kernels = matrixUnitCandidates(own.component, planned(ranging).target);
      expect(kernels.length).toBeGreaterThan(0);
      // What is compiled differs by epilogue and direction alone.
      return kernels.flatMap((kernel) =>
        (subgroupSize === 32 ? variants : variants.slice(0, 2)).map((variant) =>
          variantOf(kernel, {
            ...variant,
            ...{ half, source_half: half, weights_half: half, output_half: half },
          }),
        ),
      );
    }),
  );
  let compiled = 0;
  for (const variant of cases) {
    const code = await linkKernel(variant);
    expect(code).toContain('subgroupMatrixMultiplyAccumulate(');
    expect(await messages(code)).toEqual([]);
    // What is wrong is found.
    if (!compiled)
      expect(await messages(code.replace('(left_0, right, before)', '(right, left_0, before)'))).not.toEqual(
        [],
      );
    compiled++;
  }
  console.log(
    `${compiled} variants for subgroup matrices compile; a device that has matrix units is needed to run them`,
  );
  device.destroy();
  await device.lost;
  // A GPU object that is collected before its device takes the process down.
  expect(dawn).toBeDefined();
});

describe('units are used after a first product that is right', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.open();
  });
  afterAll(() => engine?.close());

  const trying = (own: MatrixUnit) => ({
    ...planned({ subgroupSize: 8, matrixUnits: [own] }),
    profile: gpu,
  });
  const emulated = { ...unit('f32', 16, 16, 16), emulated: true };

  test('which arithmetic in their place gives', async () => {
    const { units, faults } = await checkMatrixUnits(engine.device, trying(emulated));
    expect([units, faults]).toEqual([[emulated], []]);
  });

  test('one that computes something else is left out', async () => {
    const { device } = engine;
    const { queue } = device;
    // The weights are lost on their way.
    const losing = new Proxy(queue, {
      get: (_, key) => {
        const value: unknown = Reflect.get(queue, key);
        if (key !== 'writeBuffer') return typeof value === 'function' ? value.bind(queue) : value;
        return (buffer: GPUBuffer, offset: number, data: Uint8Array) =>
          queue.writeBuffer(buffer, offset, data.length > 256 ? new Uint8Array(data.length) : data.slice());
      },
    });
    const broken = new Proxy(device, {
      get: (_, key) => {
        if (key === 'queue') return losing;
        const value: unknown = Reflect.get(device, key);
        return typeof value === 'function' ? value.bind(device) : value;
      },
    });
    const { units, faults } = await checkMatrixUnits(broken, trying(emulated));
    expect(units).toEqual([]);
    expect(faults).toEqual(['the matrix unit f32 16x16x16: a product on it was wrong']);
  });

  test('one whose kernel the device refuses is left out with the reason', async () => {
    const { units, faults } = await checkMatrixUnits(engine.device, trying(unit('f32', 8, 8, 8)));
    expect(units).toEqual([]);
    expect(faults).toEqual([
      expect.stringMatching(/^the matrix unit f32 8x8x8: a product on it failed: kernel conv2d_m/),
    ]);
  });

  test('one whose subgroups have no known size is left out', async () => {
    const { target, ...rest } = trying(f16);
    const { faults } = await checkMatrixUnits(engine.device, {
      ...rest,
      target: { ...target, subgroupSize: 0 },
    });
    expect(faults).toEqual(['the matrix unit f16 16x16x16: the size of its subgroups is not known']);
  });
});

test('simdgroup matrices of Apple are tried with 32 lanes, though Metal fixes no number', () => {
  const open = { subgroupSizes: { least: 4, most: 64 }, matrixUnits: [f32] };
  const target = apple.target({ ...offered, ...open, subgroupSize: 0 });
  expect([target.subgroupSize, target.matrixUnits]).toEqual([0, [{ ...f32, lanes: 32 }]]);
  const kernel = chooseMatrixKernel(problem(false), planning({ profile: apple, target }));
  expect([kernel.module, kernel.constants?.SUBGROUP, kernel.subgroupSize]).toEqual([
    'conv2d_matrix',
    32,
    undefined,
  ]);
  // Where the number is fixed nothing is tried.
  expect(apple.target({ ...offered, ...open, subgroupSize: 32 }).matrixUnits).toEqual([f32]);
});

test("a convolution on this machine's matrix units meets the reference", async ({ skip }) => {
  const notices: string[] = [];
  await using engine = await Engine.open({
    subgroupMatrices: true,
    onNotice: (message) => notices.push(message),
  });
  const choice = engine.profile.kernels.convolution
    .candidates(engine.target)
    .find(({ module }) => module === 'conv2d_matrix');
  if (!engine.target.matrixUnits?.length)
    expect(notices).toContain('this adapter offers no subgroup matrices that the kernels could use');
  if (!choice) return skip(`${engine.adapter.description} has no matrix units for 32-bit operands: not run`);
  const [xShape, wShape] = [[2, 16, 16, 64] as const, [3, 3, 64, 96] as const];
  const geometry = { stride: 1, padding: 1, dilation: 1 };
  const random = new RandomStream('matrix units');
  const values = { x: randomValues(features(xShape), random), w: randomValues(features(wShape), random) };
  const op = {
    inputs: { x: features(xShape), w: { shape: wShape, layout: 'filter' as const } },
    differentiable: [],
    record: (tape: Parameters<typeof conv2d>[0], inputs: Record<string, Tensor>) =>
      conv2d(tape, inputs.x as Tensor, inputs.w as Tensor, undefined, geometry),
    reference: () => oracle.conv2d(oracle.array(xShape, values.x), oracle.array(wShape, values.w), geometry),
  };
  const { y } = await run(engine, op, values, undefined, {
    force: { convolution: choice },
  });
  expectClose(y as Float32Array, op.reference().data, 9 * 64, 'y');
});
