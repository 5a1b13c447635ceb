/** Compares the contract of kernels with what another parser than the build's reads in their linked text. */
import { expect } from 'vitest';
import { type VariableInfo, WgslReflect } from 'wgsl_reflect/wgsl_reflect.module.js';
import { workgroupThreads } from '../../scripts/kernels/write.ts';
import type { KernelVariant } from '../../src/engine/dispatch.ts';
import { type KernelInterface, kernelInterface } from '../../src/engine/kernels/contract.ts';
import { evaluate, moduleConstants } from '../../src/engine/kernels/expand.ts';
import { linkKernel } from '../../src/engine/kernels/link.ts';
import { kernelContract } from '../../src/engine/kernels/own.ts';

/** What a text binds at an index: `buffer`, or access and format of a texture. */
function described({ access, type }: VariableInfo): string {
  if (type.name === 'texture_2d') return type.name;
  return type.name === 'texture_storage_2d'
    ? `${access} ${(type as unknown as { format: { name: string } }).format.name}`
    : `${type.name} ${access}`;
}

/**
 * The text without what the parser does not know: a directive, and expressions in `@workgroup_size`, which
 * are computed from the text's own constants.
 */
function parsable(code: string): string {
  const constants = moduleConstants(code);
  return code
    .replace(/^diagnostic\(.*\);$/gm, '')
    .replace(/@workgroup_size\(([^)]*)\)/g, (_, sizes: string) => {
      const values = sizes.split(',').map((size) => evaluate(size, constants));
      return `@workgroup_size(${values})`;
    });
}

/** Whether the parser knows the extensions that a variant needs. */
export function isParsed({ module, conditions }: KernelVariant): boolean {
  return module !== 'conv2d_matrix' || conditions?.emulated === true;
}

/** What a variant's entry points use, as the contract says. */
export function entriesOf(variant: KernelVariant): (KernelInterface & { readonly entry: string })[] {
  const entries = Object.keys(kernelContract(variant.module)?.entries ?? {});
  return entries.map((entry) => ({ entry, ...kernelInterface({ ...variant, entry }) }));
}

/** @throws AssertionError, where contract and linked text differ */
export async function expectContract(variant: KernelVariant): Promise<void> {
  const code = await linkKernel(variant);
  const read = new WgslReflect(parsable(code));
  const entries = entriesOf(variant);
  expect(read.entry.compute.map(({ name }) => name).sort()).toEqual(entries.map(({ entry }) => entry).sort());
  for (const { entry, bindings, uniforms, readsUniforms } of entries) {
    const found = read.entry.compute.find(({ name }) => name === entry);
    const what = `${variant.module}.${entry}`;
    const inText = new Map(found?.resources.map((resource) => [resource.binding, resource]));
    for (const { index, kind, format } of bindings.values()) {
      const resource = inText.get(index);
      expect(resource && described(resource), `${what}: binding ${index}`).toBe(
        { buffer: 'array read_write', 'sampled texture': 'texture_2d' }[kind as string] ??
          `${kind === 'read texture' ? 'read' : 'write'} ${format}`,
      );
    }
    // The parser takes local names for bindings of that name.
    const own = new Set([...bindings.values()].map(({ index }) => index));
    for (const { binding, name } of inText.values())
      if (binding !== 0 && !own.has(binding))
        expect(code, `${what}: '${name}' is used`).toMatch(
          new RegExp(`[(,] ?${name}: |(let|var) ${name}\\b`),
        );
    expect(inText.has(0), `${what} reads uniforms`).toBe(readsUniforms);
    expect(found?.workgroupSize, `${what}: threads`).toEqual(workgroupThreads({ ...variant, entry }));
    const [block] = read.uniforms;
    expect(
      block?.members?.map(({ name, type, offset }) => [name, type.name, offset]) ?? [],
      `${what}: uniforms`,
    ).toEqual([...uniforms.values()].map(({ name, type, offset }) => [name, type, offset]));
  }
}

/**
 * Lets WebGPU find out what each entry point uses, and binds what the contract says.
 *
 * @returns WebGPU's objections
 */
export async function objections(device: GPUDevice, variant: KernelVariant): Promise<string[]> {
  const found: string[] = [];
  const module = device.createShaderModule({ code: await linkKernel(variant) });
  for (const { entry, bindings, readsUniforms } of entriesOf(variant)) {
    device.pushErrorScope('validation');
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: entry } });
    const entries: GPUBindGroupEntry[] = [...bindings.values()].map(({ index, kind, format }) => {
      if (kind === 'buffer')
        return {
          binding: index,
          resource: { buffer: device.createBuffer({ size: 1024, usage: GPUBufferUsage.STORAGE }) },
        };
      const usage = GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.TEXTURE_BINDING;
      const texture = device.createTexture({ size: [1, 1], format: format ?? 'rgba32float', usage });
      return { binding: index, resource: texture.createView() };
    });
    const uniforms = { buffer: device.createBuffer({ size: 256, usage: GPUBufferUsage.UNIFORM }) };
    if (readsUniforms) entries.push({ binding: 0, resource: uniforms });
    device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    const error = await device.popErrorScope();
    if (error) found.push(`${variant.module}.${entry}: ${error.message}`);
  }
  return found;
}
