/**
 * From a kernel variant (module, entry point, conditions, constants) to WGSL text and what the host must know
 * of it.
 */
import { link, RecordResolver } from 'wesl';
import { kernelModules } from '../../../kernels/index.ts';
import { type KernelVariant, variantKey } from '../dispatch.ts';
import { keepKernel, keptKernel } from './cache.ts';
import { expand } from './expand.ts';
import type { KernelBinding, LinkedKernel, UniformField } from './linked.ts';

const allConditions = [
  'add',
  'batched',
  'bias',
  'by_workgroup',
  'da',
  'data_gradient',
  'db',
  'emulated',
  'first',
  'flat',
  'four',
  'gate',
  'gradient_texture',
  'half',
  'map',
  'matrix_half',
  'output_half',
  'packed_half',
  'relu',
  'residual_half',
  'scaled',
  'source_half',
  'source_texture',
  'split',
  'statistics',
  'stored',
  'subgroups',
  'taps',
  'three',
  'transposed',
  'two',
  'weights_half',
  'weights_texture',
];

// What kernels/subgroup_matrix.wesl declares for the linker's sake.
const extensionNames =
  /^(?:alias (?:subgroup_matrix_\w+|row_major)|fn subgroupMatrix\w+)(?: = bool;|\(\) \{ ?\})$/gm;

// Keeps parsed modules: parsing is most of a link's time, and every kernel imports the same few.
const resolver = new RecordResolver(
  Object.fromEntries(Object.entries(kernelModules).map(([name, text]) => [`${name}.wesl`, text])),
  { keepComments: false },
);
const linked = new Map<string, Promise<LinkedKernel>>();

async function build(variant: KernelVariant): Promise<LinkedKernel> {
  const conditions = Object.fromEntries(
    allConditions.map((name) => [name, variant.conditions?.[name] ?? false]),
  );
  for (const name of Object.keys(variant.conditions ?? {}))
    if (!allConditions.includes(name))
      throw new Error(`kernel '${variant.module}': unknown condition '${name}'`);
  const constants = Object.fromEntries(
    Object.entries(variant.constants ?? {}).map(([name, value]) => [name, `${value}u`]),
  );
  // Comments and source maps would take a tenth of the time.
  const result = await link({
    resolver,
    rootModuleName: variant.module,
    conditions,
    constants,
    sourceMap: false,
  });
  const code = expand(result.dest.replace(extensionNames, ''));
  const block = code.match(/var<uniform> \w+: (\w+);/);
  const struct = block && code.match(new RegExp(`struct ${block[1]} \\{([^}]*)\\}`));
  const uniforms = [...(struct?.[1] ?? '').matchAll(/(\w+)\s*:\s*(u32|i32|f32)/g)].map(
    ([, name, type]) => ({ name, type }) as UniformField,
  );
  const bindings = new Map<string, KernelBinding>();
  for (const [, number, name] of code.matchAll(/@binding\((\d+)\) var<storage, read_write> (\w+)\s*:/g))
    bindings.set(name as string, { index: Number(number), kind: 'buffer', format: 'rgba32float' });
  for (const [, number, name, format, access] of code.matchAll(
    /@binding\((\d+)\) var (\w+)\s*:\s*texture_storage_2d<(\w+), (read|write)>/g,
  ))
    bindings.set(name as string, {
      index: Number(number),
      kind: access === 'read' ? 'texture' : 'written texture',
      format: format as GPUTextureFormat,
    });
  return { code, uniforms, bindings };
}

async function keptOrBuilt(name: string, variant: KernelVariant): Promise<LinkedKernel> {
  const kept = keptKernel(name);
  if (kept) return kept;
  const kernel = await build(variant);
  void keepKernel(name, kernel);
  return kernel;
}

/**
 * Links a variant; results are kept, in Node also for later processes. A failure is not: the next call links
 * again.
 */
export function linkKernel(variant: KernelVariant): Promise<LinkedKernel> {
  // Entry points share a text.
  const name = variantKey(variant).replace(`.${variant.entry}`, '');
  let result = linked.get(name);
  if (!result) {
    result = keptOrBuilt(name, variant);
    linked.set(name, result);
    result.catch(() => linked.delete(name));
  }
  return result;
}
