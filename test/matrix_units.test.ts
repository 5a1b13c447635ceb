/**
 * Matrix units: which of a device's are taken and for what, that their kernel is valid WGSL with the
 * extension (Dawn's null device compiles it), and, where a GPU has such units, its results. The kernel's
 * logic is tested with emulated units in convolutions.test.ts.
 */

import { expect, test } from 'vitest';
import { create, globals } from 'webgpu';
import { RandomStream } from '../src/base/random.ts';
import { chooseMatrixKernel } from '../src/engine/device/choose.ts';
import { type MatrixProblem, variantOf } from '../src/engine/device/families.ts';
import { gpu } from '../src/engine/device/gpu.ts';
import { matrix } from '../src/engine/device/matrix_products.ts';
import { matrixUnits, subgroupMatrixFeature } from '../src/engine/device/matrix_units.ts';
import type { MatrixUnit, Target } from '../src/engine/device/target.ts';
import type { Tensor } from '../src/engine/graph/tensor.ts';
import { linkKernel } from '../src/engine/kernels/link.ts';
import { conv2d } from '../src/engine/ops/conv2d.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { expectClose, features, randomValues, run } from './support/operations.ts';
import * as oracle from './support/oracle.ts';
import { planning } from './support/targets.ts';

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

const device = (own: Partial<Target> = {}) =>
  planning({
    profile: gpu,
    target: { subgroupSize: 32, matrixUnits: [unit('f16', 16, 16, 16), unit('f32', 8, 8, 8)], ...own },
  });
const choose = (problem: MatrixProblem, own?: Partial<Target>) => chooseMatrixKernel(problem, device(own));

const problem = (half: boolean, rows = 4096): MatrixProblem => ({
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
  expect(choose(problem(true))).toEqual(matrix(32, unit('f16', 16, 16, 16)));
  expect(choose(problem(false))).toEqual(matrix(32, unit('f32', 8, 8, 8)));
  expect(choose(problem(true, 4)).module).toBe('conv2d_tile');
  const halvesOnly = { matrixUnits: [unit('f16', 16, 16, 16)] };
  expect(choose(problem(false), halvesOnly).module).toBe('conv2d_tile');
  // Without a fixed size of subgroups the kernel's lanes are unknown.
  expect(choose(problem(true), { subgroupSize: 0 }).module).toBe('conv2d_tile');
  expect(choose({ ...problem(true), family: 'weight_gradient' }).module).toBe('weight_gradient_tile');
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
        const kernel = choose(problem(half), { subgroupSize, matrixUnits: [own] });
        expect(kernel.module).toBe('conv2d_matrix');
        const halves = { half, source_half: half, weights_half: half, output_half: half };
        const code = await linkKernel(variantOf(kernel, { ...variant, ...halves }));
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
