/**
 * Matrix units: which of a device's are taken and for what, that their kernel is valid WGSL with the
 * extension (Dawn's null device compiles it), and, where a GPU has such units, its results. The kernel's
 * logic is tested with emulated units in convolutions.test.ts.
 */

import { expect, test } from 'vitest';
import { create, globals } from 'webgpu';
import { RandomStream } from '../src/base/random.ts';
import { chooseGemm, gemmConfigurations } from '../src/engine/device/matrix_products.ts';
import { matrixUnits, subgroupMatrixFeature } from '../src/engine/device/matrix_units.ts';
import type { GemmProblem, MatrixUnit, Target } from '../src/engine/device/target.ts';
import type { Tensor } from '../src/engine/graph/tensor.ts';
import { linkKernel } from '../src/engine/kernels/link.ts';
import { conv2d } from '../src/engine/ops/conv2d.ts';
import { gemmGrid } from '../src/engine/ops/gemm.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { expectClose, features, randomValues, run } from './support/operations.ts';
import * as oracle from './support/oracle.ts';

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

const gpu: Target = {
  name: 'a GPU',
  subgroupSize: 32,
  software: false,
  parallelism: 512,
  maxStorageBufferBindingSize: 2 ** 27,
  textures: false,
  maxTextureSize: 0,
  winograd: false,
  epilogueStatistics: true,
  matrixUnits: [unit('f16', 16, 16, 16), unit('f32', 8, 8, 8)],
};

const problem = (half: boolean, rows = 4096): GemmProblem => ({
  family: 'convolution',
  rows,
  columnQuads: 16,
  depth: 144,
  half,
});

test('units with 32-bit sums whose size fits the kernel are taken, the largest first', () => {
  expect(
    matrixUnits([
      config('f16', 8, 8, 8),
      config('f16', 16, 16, 16),
      config('f16', 16, 16, 16, 'f16'),
      config('i8', 16, 16, 32, 'i32'),
      config('f16', 64, 16, 16),
      // Their results would not fit workgroup memory.
      config('f16', 32, 32, 16),
      config('f16', 16, 16, 32),
      config('f32', 8, 8, 8),
    ]),
  ).toEqual([unit('f16', 16, 16, 16), unit('f16', 8, 8, 8), unit('f32', 8, 8, 8)]);
});

test('operands are multiplied in their own width, and small products elsewhere', () => {
  expect(chooseGemm(problem(true), gpu).unit).toEqual(unit('f16', 16, 16, 16));
  expect(chooseGemm(problem(false), gpu).unit).toEqual(unit('f32', 8, 8, 8));
  expect(chooseGemm(problem(true, 4), gpu).unit).toBeUndefined();
  const halvesOnly = { ...gpu, matrixUnits: [unit('f16', 16, 16, 16)] };
  expect(chooseGemm(problem(false), halvesOnly).shape).toBe('tile');
  // Without a fixed size of subgroups the kernel's lanes are unknown.
  expect(chooseGemm(problem(true), { ...gpu, subgroupSize: 0 }).shape).toBe('tile');
  expect(chooseGemm({ ...problem(true), family: 'weight_gradient' }, gpu).shape).toBe('tile');
});

test('the kernel is valid WGSL for every unit, direction and epilogue', async () => {
  Object.assign(globalThis, globals);
  // Dawn's null device has every feature and runs nothing.
  const dawn = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
  const adapter = await dawn.requestAdapter();
  if (!adapter?.features.has(subgroupMatrixFeature))
    throw new Error('this Dawn does not know subgroup matrices');
  const device = await adapter.requestDevice({
    requiredFeatures: [subgroupMatrixFeature, 'subgroups', 'shader-f16'],
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
  let compiled = 0;
  for (const own of units)
    for (const subgroupSize of [16, 32, 64])
      for (const variant of variants) {
        const half = own.component === 'f16';
        const choice = chooseGemm(problem(half), { ...gpu, subgroupSize, matrixUnits: [own] });
        const { module, constants } = gemmGrid(choice, 'conv2d', 4096, 16);
        expect(module).toBe('conv2d_matrix');
        const halves = { half, matrix_half: half, source_half: half, weights_half: half, output_half: half };
        const { code } = await linkKernel({
          module,
          entry: 'main',
          constants,
          conditions: { ...variant, ...halves },
        });
        expect(code).toContain('subgroupMatrixMultiplyAccumulate(');
        expect(await messages(code)).toEqual([]);
        // What is wrong is found.
        if (!compiled)
          expect(await messages(code.replace('(left, right, sum)', '(right, left, sum)'))).not.toEqual([]);
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

test("a convolution on this machine's matrix units meets the reference", async ({ skip }) => {
  const notices: string[] = [];
  await using engine = await Engine.open({
    subgroupMatrices: true,
    onNotice: (message) => notices.push(message),
  });
  const choice = gemmConfigurations('convolution', engine.target).find((c) => c.unit);
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
    ...engine.target,
    force: { convolution: choice },
  });
  expectClose(y as Float32Array, op.reference().data, 9 * 64, 'y');
});
