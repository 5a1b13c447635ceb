/** Compute pipelines from kernel variants. */
import { describedError, KernelError } from '../../base/errors.ts';
import { type KernelVariant, variantKey } from '../dispatch.ts';
import { type KernelBinding, type KernelInterface, kernelInterface } from '../kernels/contract.ts';
import { linkKernel } from '../kernels/link.ts';

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly kernel: KernelInterface;
  /** WGSL. */
  readonly code: string;
  readonly label: string;
}

function layoutEntry({ index, kind, format }: KernelBinding): GPUBindGroupLayoutEntry {
  const place = { binding: index, visibility: GPUShaderStage.COMPUTE };
  if (kind === 'buffer') return { ...place, buffer: { type: 'storage' } };
  // Texels of 32-bit floats cannot be filtered on every device; kernels load them one by one.
  if (kind === 'sampled texture') return { ...place, texture: { sampleType: 'unfilterable-float' } };
  const access = kind === 'read texture' ? 'read-only' : 'write-only';
  return { ...place, storageTexture: { access, format: format as GPUTextureFormat } };
}

/**
 * @throws Error naming the variant, where its kernel declares something else, or with the compiler's messages
 */
export async function createPipeline(device: GPUDevice, variant: KernelVariant): Promise<Pipeline> {
  const label = variantKey(variant);
  const kernel = kernelInterface(variant);
  const code = await linkKernel(variant);
  const entries = [...kernel.bindings.values()].map(layoutEntry);
  if (kernel.readsUniforms)
    entries.push({ binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'uniform' } });
  // What is wrong with layout or text is said by the pipeline that is made of them, so that the scope's own
  // answer is not needed.
  device.pushErrorScope('validation');
  const layout = device.createBindGroupLayout({ label, entries });
  const module = device.createShaderModule({ label, code });
  const creating = device.createComputePipelineAsync({
    label,
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: variant.entry },
  });
  device.popErrorScope().catch(() => {});
  try {
    return { pipeline: await creating, layout, kernel, code, label };
  } catch (error) {
    const { messages } = await module.getCompilationInfo().catch(() => ({ messages: [] }));
    const texts = messages
      .filter((message) => message.type === 'error')
      .map((message) => `line ${message.lineNum}: ${message.message}`);
    const text = texts.join('; ') || describedError(error, 'the driver refuses it').message;
    throw new KernelError(`kernel ${label} does not compile: ${text}`, { cause: error });
  }
}
