/** Compute pipelines from kernel variants. */
import { type KernelVariant, type LinkedKernel, linkKernel, variantKey } from './kernel.ts';

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
    const access = binding.kind === 'image' ? 'read-only' : 'write-only';
    const storageTexture = { access, format: binding.format } as const;
    return { binding: binding.index, visibility: GPUShaderStage.COMPUTE, storageTexture };
  });
  if (kernel.uniforms.length)
    entries.push({ binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'uniform' } });
  const layout = device.createBindGroupLayout({ label, entries });
  const module = device.createShaderModule({ label, code: kernel.code });
  try {
    const pipeline = await device.createComputePipelineAsync({
      label,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: variant.entry },
    });
    return { pipeline, layout, kernel, label, bindings };
  } catch (error) {
    const messages = (await module.getCompilationInfo()).messages
      .filter((message) => message.type === 'error')
      .map((message) => `line ${message.lineNum}: ${message.message}`);
    throw new Error(`kernel ${label} does not compile: ${messages.join('; ') || (error as Error).message}`);
  }
}
