/** Compute pipelines from kernel variants. */
import { describedError } from '../../base/errors.ts';
import { type KernelVariant, variantKey } from '../dispatch.ts';
import { linkKernel } from '../kernels/link.ts';
import type { LinkedKernel } from '../kernels/linked.ts';

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly kernel: LinkedKernel;
  readonly label: string;
  /** Names of the storage bindings in its layout. */
  readonly bindings: readonly string[];
}

/**
 * @param bindings the storage bindings that the entry point uses
 * @throws Error with the compiler's messages
 */
export async function createPipeline(
  device: GPUDevice,
  variant: KernelVariant,
  bindings: readonly string[],
): Promise<Pipeline> {
  const label = variantKey(variant);
  const kernel = await linkKernel(variant);
  const entries: GPUBindGroupLayoutEntry[] = bindings.map((name) => {
    const binding = kernel.bindings.get(name);
    if (binding === undefined) throw new Error(`kernel ${label} has no binding '${name}'`);
    if (binding.kind === 'buffer')
      return { binding: binding.index, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'storage' } };
    const access = binding.kind === 'texture' ? 'read-only' : 'write-only';
    const storageTexture = { access, format: binding.format } as const;
    return { binding: binding.index, visibility: GPUShaderStage.COMPUTE, storageTexture };
  });
  if (kernel.uniforms.length)
    entries.push({ binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'uniform' } });
  // What is wrong with layout or text is said by the pipeline that is made of them, so that the scope's own
  // answer is not needed.
  device.pushErrorScope('validation');
  const layout = device.createBindGroupLayout({ label, entries });
  const module = device.createShaderModule({ label, code: kernel.code });
  const creating = device.createComputePipelineAsync({
    label,
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: variant.entry },
  });
  device.popErrorScope().catch(() => {});
  try {
    return { pipeline: await creating, layout, kernel, label, bindings };
  } catch (error) {
    const { messages } = await module.getCompilationInfo().catch(() => ({ messages: [] }));
    const texts = messages
      .filter((message) => message.type === 'error')
      .map((message) => `line ${message.lineNum}: ${message.message}`);
    const text = texts.join('; ') || describedError(error, 'the driver refuses it').message;
    throw new Error(`kernel ${label} does not compile: ${text}`, { cause: error });
  }
}
