/**
 * What an operation gives and a plan is made of: kernel launches before memory is assigned. A dispatch names
 * a kernel variant, its operands, its uniforms and its grid.
 */
import type { KernelModule } from '../../kernels/generated.ts';
import { workgroupSize } from '../../kernels/sizes.ts';
import type { PageKind } from './graph/parameter_set.ts';
import { byteLength, type Tensor, type View } from './graph/tensor.ts';

/** A kernel of the user's own, from `registerKernel`. */
export type OwnModule = string & { readonly own: 'registered' };

/** A kernel with all that is chosen before it is compiled. */
export interface KernelVariant {
  /** The kernel file, or what `registerKernel` returned. */
  readonly module: KernelModule | OwnModule;
  /** The entry point. */
  readonly entry: string;
  /** For the `@if` of the text; those that are left out do not hold. */
  readonly conditions?: Readonly<Record<string, boolean>>;
  /** Whole numbers for what the text imports from `constants`. */
  readonly constants?: Readonly<Record<string, number>>;
  /** Lanes of a subgroup that it is compiled for, where the device lets kernels choose. */
  readonly subgroupSize?: number;
}

/** Short, stable name of a variant, for labels and caches. */
export function variantKey(variant: KernelVariant): string {
  const conditions = Object.entries(variant.conditions ?? {})
    .filter(([, on]) => on)
    .map(([name]) => name)
    .sort();
  const constants = Object.entries(variant.constants ?? {}).map(([name, value]) => `${name}=${value}`);
  const lanes = variant.subgroupSize ? [`subgroup_size=${variant.subgroupSize}`] : [];
  return [`${variant.module}.${variant.entry}`, ...conditions, ...constants, ...lanes].join(',');
}

/** A page of parameters as a kernel binding. */
export interface PageBinding {
  /** The parameter group. */
  readonly group: string;
  /** Its number in the group, from 0 on. */
  readonly page: number;
  /** What of the parameters: values, gradients or moments. */
  readonly kind: PageKind;
}

/** What a kernel is given: a whole tensor, a range of one, or a page of parameters. */
export type Binding = Tensor | View | PageBinding;

/** One kernel launch, or a copy of `x` into `texture`, before memory is assigned. */
export interface Dispatch {
  /** What is launched. */
  readonly kernel: KernelVariant | 'copy';
  /** Operands by the names that the kernel gives them: all that its entry point uses, and no others. */
  readonly bindings: Readonly<Record<string, Binding>>;
  /** Values of the uniform block by field: all that the entry point reads. */
  readonly uniforms: Readonly<Record<string, number>>;
  /** Number of workgroups; see {@link threads} and {@link groups} for how large counts are spread. */
  readonly workgroups: readonly [number, number, number];
  /** Names of the bindings that the kernel writes. */
  readonly writes: readonly string[];
  /** Floating-point operations; absent counts as none. */
  readonly flops?: number;
}

/**
 * Spreads n workgroups over two dimensions, each below WebGPU's limit of 65,535. There may be more than n: a
 * kernel leaves out what lies beyond its count.
 *
 * @param z size of the third dimension
 */
export function groups(count: number, z = 1): [number, number, number] {
  const limit = 65535;
  if (count <= limit) return [Math.max(count, 1), 1, z];
  const rows = Math.ceil(count / limit);
  return [Math.ceil(count / rows), rows, z];
}

/** Workgroups of `workgroupSize` threads for n threads. */
export function threads(count: number): [number, number, number] {
  return groups(Math.ceil(count / workgroupSize));
}

/** Whether a binding is a whole tensor. */
export function isTensor(binding: Binding): binding is Tensor {
  return 'role' in binding;
}

/** The tensor behind a binding, undefined for a page. */
export function boundTensor(binding: Binding): Tensor | undefined {
  if (isTensor(binding)) return binding;
  return 'tensor' in binding ? binding.tensor : undefined;
}

/** Bytes that a binding covers; none for a page, whose size is not the operation's. */
export function boundBytes(binding: Binding): number {
  if (isTensor(binding)) return byteLength(binding);
  return 'tensor' in binding ? binding.size : 0;
}

/** Bytes of every operand of a dispatch. */
export function dispatchBytes({ bindings }: Dispatch): number {
  return Object.values(bindings).reduce((sum, binding) => sum + boundBytes(binding), 0);
}
