/**
 * What a variant of a kernel wants from the host: takes a variant, gives its bindings, uniforms and writes,
 * from what the build read in the kernel files.
 */
import { type BindingKind, holds, type KernelContract, type UniformType } from '../../../kernels/contract.ts';
import { type KernelVariant, variantKey } from '../dispatch.ts';
import { kernelContract } from './own.ts';

/** A storage buffer or texture that an entry point uses. */
export interface KernelBinding {
  readonly name: string;
  readonly index: number;
  readonly kind: BindingKind;
  /** Of a texture. */
  readonly format?: GPUTextureFormat;
}

/** A field of the uniform block. */
export interface UniformField {
  readonly name: string;
  readonly type: UniformType;
  /** In bytes, from the start of the block. */
  readonly offset: number;
  /** Whether the entry point reads it. */
  readonly used: boolean;
}

/** What a variant wants from the host. */
export interface KernelInterface {
  /** The resources that its entry point uses, by name. */
  readonly bindings: ReadonlyMap<string, KernelBinding>;
  /** Names of those that it stores to. */
  readonly writes: ReadonlySet<string>;
  /** All fields of the block, in their order. */
  readonly uniforms: ReadonlyMap<string, UniformField>;
  /** Whether the entry point reads the block at all; it lies at binding 0. */
  readonly readsUniforms: boolean;
}

const bytesPerUniform = 4;
const known = new Map<string, KernelInterface>();

/**
 * @throws Error naming the variant, where its file, entry point, conditions or constants are not those that
 *   the kernel declares
 */
export function kernelInterface(variant: KernelVariant): KernelInterface {
  const key = variantKey(variant);
  // Conditions that are off are not in the key.
  const named = Object.keys(variant.conditions ?? {}).join();
  let result = known.get(`${key}|${named}`);
  if (!result) {
    result = interfaceOf(variant);
    known.set(`${key}|${named}`, result);
  }
  return result;
}

function interfaceOf(variant: KernelVariant): KernelInterface {
  const { conditions = {}, entry } = variant;
  const contract = checkedContract(variant);
  const own = contract.entries[entry] as KernelContract['entries'][string];
  const present = contract.bindings.filter(({ when }) => holds(when, conditions));
  const bindings = new Map<string, KernelBinding>();
  for (const [name, when] of Object.entries(own.bindings)) {
    if (!holds(when, conditions)) continue;
    const binding = present.find((other) => other.name === name);
    if (!binding)
      throw variantError(variant, `it uses the binding '${name}', which these conditions leave out`);
    bindings.set(name, binding);
  }
  const fields = contract.uniforms.filter(({ when }) => holds(when, conditions));
  const uniforms = new Map(
    fields.map(({ name, type }, place) => [
      name,
      {
        name,
        type,
        offset: place * bytesPerUniform,
        used: name in own.uniforms && holds(own.uniforms[name], conditions),
      },
    ]),
  );
  return {
    bindings,
    writes: new Set(Object.keys(own.writes).filter((name) => holds(own.writes[name], conditions))),
    uniforms,
    readsUniforms: [...uniforms.values()].some(({ used }) => used),
  };
}

function checkedContract(variant: KernelVariant): KernelContract {
  const contract = kernelContract(variant.module);
  if (!contract) throw variantError(variant, `there is no kernel file '${variant.module}' with entry points`);
  const { conditions = {}, constants = {}, entry, subgroupSize: lanes } = variant;
  if (lanes !== undefined && !(Number.isInteger(lanes) && lanes > 0 && Number.isInteger(Math.log2(lanes))))
    throw variantError(variant, `a subgroup has a power of two lanes, not ${lanes}`);
  if (!contract.entries[entry])
    throw variantError(variant, `it has no entry point '${entry}' (${list(Object.keys(contract.entries))})`);
  for (const name of Object.keys(conditions))
    if (!contract.conditions.includes(name))
      throw variantError(variant, `it has no condition '${name}' (${list(contract.conditions)})`);
  for (const [name, value] of Object.entries(constants)) {
    if (!contract.constants.includes(name))
      throw variantError(variant, `it has no constant '${name}' (${list(contract.constants)})`);
    if (!Number.isInteger(value) || value < 0)
      throw variantError(variant, `the constant '${name}' is ${value}, not a whole number`);
  }
  for (const name of contract.constants)
    if (constants[name] === undefined) throw variantError(variant, `the constant '${name}' is missing`);
  return contract;
}

function list(names: readonly string[]): string {
  return names.length ? `it has ${names.join(', ')}` : 'it has none';
}

function variantError(variant: KernelVariant, message: string): Error {
  return new Error(`kernel ${variantKey(variant)}: ${message}`);
}
