/**
 * The steps of a program, ready to encode: kernel launches with their bind groups, and copies into textures.
 */

import { textureWidth } from '../../../kernels/sizes.ts';
import { boundTensor, type Dispatch } from '../dispatch.ts';
import { bytesPerQuad, type Tensor } from '../graph/tensor.ts';
import type { KernelBinding } from '../kernels/contract.ts';
import type { PlannedNode } from '../plan/plan.ts';
import type { Engine } from './engine.ts';
import type { ProgramMemory, Range } from './memory.ts';
import type { Pipeline } from './pipeline.ts';

export interface Step {
  readonly operation: string;
  readonly dispatch: Dispatch;
  /** The kernel's variant, or 'copy'. */
  readonly label: string;
  readonly work: Launch | Copy;
}

interface Launch {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

/** Arguments of copyBufferToTexture, made once. */
interface Copy {
  readonly copies: readonly [GPUTexelCopyBufferInfo, GPUTexelCopyTextureInfo, GPUExtent3DStrict][];
}

interface Planned {
  readonly operation: string;
  readonly dispatch: Dispatch;
}

// Work per submit, so that a display stays alive and a watchdog calm: about 50 ms on a slow integrated GPU.
const flopsPerSubmit = 2e11;
// Of the uniforms: the alignment that every device accepts.
const bytesPerDispatch = 256;

/**
 * Creates pipelines, uniforms and bind groups.
 *
 * @param onPipeline told after each pipeline that is ready
 */
export async function buildSteps(
  engine: Engine,
  plan: readonly PlannedNode[],
  memory: ProgramMemory,
  onPipeline: () => void,
): Promise<Step[]> {
  const planned: Planned[] = plan.flatMap(({ node, dispatches }) =>
    dispatches.map((dispatch) => ({ operation: node.definition.name, dispatch })),
  );
  const pipelines = await engine.guard(
    Promise.all(
      planned.map(async ({ dispatch }) => {
        const pipeline = dispatch.kernel === 'copy' ? undefined : await engine.pipeline(dispatch.kernel);
        onPipeline();
        return pipeline;
      }),
    ),
  );
  const { result, verdict } = engine.attempt('binding the kernels of a program', () =>
    bindSteps(engine, planned, pipelines, memory),
  );
  await engine.guard(verdict);
  return result;
}

function bindSteps(
  engine: Engine,
  planned: readonly Planned[],
  pipelines: readonly (Pipeline | undefined)[],
  memory: ProgramMemory,
): Step[] {
  const uniforms = writeUniforms(engine, memory, planned, pipelines);
  return planned.map(({ operation, dispatch }, index): Step => {
    const pipeline = pipelines[index];
    if (!pipeline) return { operation, dispatch, label: 'copy', work: copyStep(dispatch, memory) };
    const { kernel, layout, label } = pipeline;
    const entries: GPUBindGroupEntry[] = Object.entries(dispatch.bindings).map(([name, binding]) => ({
      binding: (kernel.bindings.get(name) as KernelBinding).index,
      resource: memory.resolve(binding),
    }));
    if (kernel.readsUniforms)
      entries.push({
        binding: 0,
        resource: { buffer: uniforms, offset: index * bytesPerDispatch, size: bytesPerDispatch },
      });
    const bindGroup = engine.device.createBindGroup({ label: `${operation} ${label}`, layout, entries });
    return { operation, dispatch, label, work: { pipeline: pipeline.pipeline, bindGroup } };
  });
}

/** Whole lines in one copy, the rest of the last line in another. */
function copyStep(dispatch: Dispatch, memory: ProgramMemory): Copy {
  const { x, texture: copied } = dispatch.bindings;
  const { buffer, offset, size } = memory.resolve(x as NonNullable<typeof x>) as Range;
  const texture = memory.texture(copied);
  const bytesPerTexel = bytesPerQuad(boundTensor(copied as NonNullable<typeof copied>) as Tensor);
  const bytesPerRow = textureWidth * bytesPerTexel;
  const lines = Math.floor(size / bytesPerRow);
  const rest = (size % bytesPerRow) / bytesPerTexel;
  const copies: [GPUTexelCopyBufferInfo, GPUTexelCopyTextureInfo, GPUExtent3DStrict][] = [];
  if (lines) copies.push([{ buffer, offset, bytesPerRow }, { texture }, [textureWidth, lines]]);
  if (rest)
    copies.push([
      { buffer, offset: offset + lines * bytesPerRow, bytesPerRow },
      { texture, origin: [0, lines] },
      [rest, 1],
    ]);
  return { copies };
}

function writeUniforms(
  engine: Engine,
  { owned }: ProgramMemory,
  planned: readonly Planned[],
  pipelines: readonly (Pipeline | undefined)[],
): GPUBuffer {
  const data = new DataView(new ArrayBuffer(Math.max(planned.length, 1) * bytesPerDispatch));
  planned.forEach(({ dispatch }, index) => {
    const pipeline = pipelines[index];
    if (!pipeline) return;
    for (const { name, type, offset } of pipeline.kernel.uniforms.values()) {
      const value = dispatch.uniforms[name];
      // What the entry point reads is there (checkPlan).
      if (value === undefined) continue;
      const place = index * bytesPerDispatch + offset;
      if (type === 'f32') data.setFloat32(place, value, true);
      else if (type === 'i32') data.setInt32(place, value, true);
      else data.setUint32(place, value, true);
    }
  });
  const buffer = owned.createBuffer(
    'uniforms',
    data.byteLength,
    GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
  );
  engine.write(buffer, 0, new Uint32Array(data.buffer));
  return buffer;
}

/** Encodes one step; `descriptor` is for the compute pass of a launch. */
export function encodeAlone(
  encoder: GPUCommandEncoder,
  step: Step,
  descriptor?: GPUComputePassDescriptor,
): void {
  if ('copies' in step.work) {
    encodeCopy(encoder, step.work);
    return;
  }
  const pass = encoder.beginComputePass(descriptor);
  pass.setPipeline(step.work.pipeline);
  dispatch(pass, step, step.work.bindGroup);
  pass.end();
}

function encodeCopy(encoder: GPUCommandEncoder, { copies }: Copy): void {
  for (const [source, destination, size] of copies) encoder.copyBufferToTexture(source, destination, size);
}

function dispatch(pass: GPUComputePassEncoder, step: Step, bindGroup: GPUBindGroup): void {
  pass.setBindGroup(0, bindGroup);
  const [x, y, z] = step.dispatch.workgroups;
  pass.dispatchWorkgroups(x, y, z);
}

/**
 * Encodes steps in order, in portions to be submitted one by one; `finish` may encode what follows the last
 * one.
 */
export function encodeSteps(
  device: GPUDevice,
  steps: readonly Step[],
  finish?: (encoder: GPUCommandEncoder) => void,
): GPUCommandBuffer[] {
  const portions: GPUCommandBuffer[] = [];
  let encoder = device.createCommandEncoder();
  let pass: GPUComputePassEncoder | undefined;
  let pipeline: GPUComputePipeline | undefined;
  let flops = 0;
  for (const step of steps) {
    if ('copies' in step.work) {
      pass?.end();
      pass = undefined;
      encodeCopy(encoder, step.work);
      continue;
    }
    if (!pass) {
      pass = encoder.beginComputePass();
      pipeline = undefined;
    }
    // Calls into the driver are most of a run's JavaScript time, so a pipeline that is set stays.
    if (pipeline !== step.work.pipeline) pass.setPipeline(step.work.pipeline);
    pipeline = step.work.pipeline;
    dispatch(pass, step, step.work.bindGroup);
    flops += step.dispatch.flops ?? 0;
    if (flops > flopsPerSubmit) {
      pass.end();
      pass = undefined;
      portions.push(encoder.finish());
      encoder = device.createCommandEncoder();
      flops = 0;
    }
  }
  pass?.end();
  finish?.(encoder);
  portions.push(encoder.finish());
  return portions;
}

export function submit(device: GPUDevice, portions: readonly GPUCommandBuffer[]): void {
  for (const portion of portions) device.queue.submit([portion]);
}
