/**
 * Tries a device's matrix units before they are used: they are reached by an unfinished extension, and a
 * kernel for them relies on the lanes of a subgroup. Takes a device and its target; gives the units that
 * computed a small product of whole numbers without an error.
 */
import { toHalf } from '../../base/half.ts';
import type { LoweringContext } from '../device/context.ts';
import type { MatrixKernel } from '../device/families.ts';
import { matrixUnitCandidates } from '../device/matrix_unit_kernels.ts';
import type { MatrixUnit } from '../device/target.ts';
import type { Dispatch } from '../dispatch.ts';
import { ParameterSet } from '../graph/parameter_set.ts';
import { Tape } from '../graph/tape.ts';
import { gatherDispatches } from '../ops/gemm.ts';
import { createPipeline } from './pipeline.ts';

// Every shape of the kernel has a tile that this fills.
const size = { side: 8, depth: 64, columns: 64 } as const;
const rows = size.side ** 2;

export interface CheckedUnits {
  readonly units: readonly MatrixUnit[];
  /** Why some are left out, a sentence for each. */
  readonly faults: readonly string[];
}

/** Small whole numbers, whose products and sums are exact in every order. */
const value = (i: number) => ((i * 5 + (i >> 6) * 3) % 7) - 3;

/** The product of a kernel, by the dispatch that a program would make of it. */
function dispatchOf(kernel: MatrixKernel, half: boolean, lowering: LoweringContext): Dispatch {
  const tape = new Tape(new ParameterSet());
  const shape = [1, size.side, size.side, size.depth] as const;
  const weightShape = [1, 1, size.depth, size.columns] as const;
  const [dispatch] = gatherDispatches({
    source: { ...tape.input('x', shape, 'channels'), half },
    weights: { ...tape.input('w', weightShape, 'filter'), half },
    weightShape,
    output: tape.input('y', [1, size.side, size.side, size.columns], 'channels'),
    inputs: {},
    attributes: { stride: 1, padding: 0, dilation: 1, relu: false },
    dataGradient: false,
    context: { ...lowering, force: { convolution: kernel, splits: 1 } },
  });
  return dispatch as Dispatch;
}

async function product(device: GPUDevice, { kernel, uniforms, workgroups }: Dispatch, half: boolean) {
  if (kernel === 'copy') throw new Error('a product is no copy');
  const { pipeline, layout, kernel: contract } = await createPipeline(device, kernel);
  const buffers: GPUBuffer[] = [];
  const buffer = (bytes: number, usage: number, data?: Uint8Array<ArrayBuffer>) => {
    const made = device.createBuffer({ label: 'matrix check', size: bytes, usage });
    buffers.push(made);
    if (data) device.queue.writeBuffer(made, 0, data);
    return made;
  };
  const operand = (count: number) => {
    const floats = Float32Array.from({ length: count }, (_, i) => value(i));
    const data = half ? toHalf(floats) : floats;
    return buffer(
      data.byteLength,
      GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
      new Uint8Array(data.buffer),
    );
  };
  try {
    const block = new ArrayBuffer(256);
    for (const [name, { offset, type }] of contract.uniforms) {
      const words = type === 'f32' ? new Float32Array(block) : new Uint32Array(block);
      words[offset / 4] = uniforms[name] ?? 0;
    }
    const bytes = rows * size.columns * 4;
    const output = buffer(bytes, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
    const staging = buffer(bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    const resources: Record<string, GPUBuffer> = {
      source: operand(rows * size.depth),
      weights: operand(size.depth * size.columns),
      output,
    };
    const entries = [...contract.bindings.values()].map(({ name, index }) => ({
      binding: index,
      resource: { buffer: resources[name] as GPUBuffer },
    }));
    const block0 = buffer(256, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST, new Uint8Array(block));
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    const all = [{ binding: 0, resource: { buffer: block0 } }, ...entries];
    pass.setBindGroup(0, device.createBindGroup({ layout, entries: all }));
    pass.dispatchWorkgroups(...workgroups);
    pass.end();
    encoder.copyBufferToBuffer(output, 0, staging, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    return new Float32Array(staging.getMappedRange().slice(0));
  } finally {
    for (const made of buffers) made.destroy();
  }
}

function expected(): Float32Array {
  const result = new Float32Array(rows * size.columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < size.columns; column++) {
      let sum = 0;
      for (let k = 0; k < size.depth; k++)
        sum += value(row * size.depth + k) * value(k * size.columns + column);
      result[row * size.columns + column] = sum;
    }
  return result;
}

/** What is wrong with a unit; undefined where its product is right. */
async function faultOf(
  device: GPUDevice,
  { component }: MatrixUnit,
  lowering: LoweringContext,
): Promise<string | undefined> {
  const half = component === 'f16';
  // The smallest shape stands for all, which differ in how often they do the same.
  const kernel = matrixUnitCandidates(component, lowering.target).at(-1);
  if (!kernel) return 'the size of its subgroups is not known';
  try {
    const result = await product(device, dispatchOf(kernel, half, lowering), half);
    const right = expected();
    return result.every((own, i) => own === right[i]) ? undefined : 'a product on it was wrong';
  } catch (error) {
    return `a product on it failed: ${(error as Error).message}`;
  }
}

/** The units of the target that proved themselves, and what is wrong with the others. */
export async function checkMatrixUnits(device: GPUDevice, lowering: LoweringContext): Promise<CheckedUnits> {
  const units: MatrixUnit[] = [];
  const faults: string[] = [];
  for (const unit of lowering.target.matrixUnits ?? []) {
    // Kernels take the first unit for each width.
    if (units.some(({ component }) => component === unit.component)) continue;
    const target = { ...lowering.target, matrixUnits: [unit] };
    const fault = await faultOf(device, unit, { ...lowering, target });
    const { component, rows, columns, depth } = unit;
    if (fault) faults.push(`the matrix unit ${component} ${rows}x${columns}x${depth}: ${fault}`);
    else units.push(unit);
  }
  return { units, faults };
}
