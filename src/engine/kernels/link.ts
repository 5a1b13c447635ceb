/** From a kernel variant (module, entry point, conditions, constants) to WGSL text. */
import { link, RecordResolver } from 'wesl';
import { kernelTexts } from '../../../kernels/generated.ts';
import { type KernelVariant, variantKey } from '../dispatch.ts';
import { keepKernel, keptKernel } from './cache.ts';
import { kernelInterface } from './contract.ts';
import { expand } from './expand.ts';
import { kernelContract, ownKernelText } from './own.ts';

// Keeps parsed modules: parsing is most of a link's time, and every kernel imports the same few.
const resolver = resolverOf(kernelTexts);
const linked = new Map<string, Promise<string>>();

function resolverOf(texts: Readonly<Record<string, string>>): RecordResolver {
  const files = Object.entries(texts).map(([name, text]) => [`${name}.wesl`, text]);
  return new RecordResolver(Object.fromEntries(files), { keepComments: false });
}

async function build(variant: KernelVariant): Promise<string> {
  const constants = Object.fromEntries(
    Object.entries(variant.constants ?? {}).map(([name, value]) => [name, `${value}u`]),
  );
  // Comments and source maps would take a tenth of the time.
  const own = ownKernelText(variant.module);
  const { dest } = await link({
    resolver: own === undefined ? resolver : resolverOf({ ...kernelTexts, [variant.module]: own }),
    rootModuleName: variant.module,
    conditions: { ...variant.conditions },
    constants,
    sourceMap: false,
  });
  const text = expand(withoutPlaceholders(dest, kernelContract(variant.module)?.extensions ?? []));
  return variant.subgroupSize ? withSubgroupSize(text, variant.subgroupSize) : text;
}

/** Lets every entry point run in subgroups of `size` lanes. Extensions stand before everything else. */
function withSubgroupSize(text: string, size: number): string {
  const enabled = ['subgroups', 'subgroup_size_control']
    .filter((name) => !text.includes(`enable ${name};`))
    .map((name) => `enable ${name};\n`);
  return enabled.join('') + text.replaceAll('@compute', `@compute @subgroup_size(${size})`);
}

/** Leaves out what kernels/extensions.wesl declares. */
function withoutPlaceholders(text: string, names: readonly string[]): string {
  if (!names.length) return text;
  const lines = new Set(names.flatMap((name) => [`alias ${name} = bool;`, `fn ${name}() { }`]));
  return text
    .split('\n')
    .map((line) => (lines.has(line) ? '' : line))
    .join('\n');
}

async function keptOrBuilt(name: string, variant: KernelVariant): Promise<string> {
  // Another process may give another text the same name.
  if (ownKernelText(variant.module) !== undefined) return build(variant);
  const kept = keptKernel(name);
  if (kept !== undefined) return kept;
  const code = await build(variant);
  void keepKernel(name, code);
  return code;
}

/**
 * Links a variant; the text is kept, in Node also for later processes. A failure is not: the next call links
 * again.
 *
 * @returns WGSL, with all entry points of the module
 * @throws Error naming the variant, where the kernel declares something else
 */
export async function linkKernel(variant: KernelVariant): Promise<string> {
  kernelInterface(variant);
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
