/**
 * What a kernel file says of itself, as data: the build reads it from every `.wesl` file of this folder
 * (`scripts/kernels`) and writes it to `generated.ts`, so that nothing of it is listed by hand.
 */

/**
 * When something of a kernel exists or is used: `true` (always), or a list of alternatives, each a list of
 * conditions that must all hold. `'relu'` holds where the variant has the condition, `'!relu'` where not. The
 * empty list never holds.
 */
export type When = true | readonly (readonly string[])[];

/** A resource that a kernel file declares at `@group(0)`. */
export interface BindingContract {
  readonly name: string;
  readonly index: number;
  readonly kind: BindingKind;
  /** Of a storage texture. */
  readonly format?: GPUTextureFormat;
  /** Absent: always. */
  readonly when?: When;
}

export type BindingKind = 'buffer' | 'read texture' | 'written texture' | 'sampled texture';

/** A field of the uniform block: four bytes each, one after the other. */
export interface UniformContract {
  readonly name: string;
  readonly type: UniformType;
  /** Absent: always. */
  readonly when?: When;
}

export type UniformType = 'u32' | 'i32' | 'f32';

/** What an entry point reaches, through the functions that it calls. */
export interface EntryContract {
  /** One expression per dimension, over integers and the module's constants. */
  readonly workgroupSize: readonly [string, string, string];
  /** Bindings that it reads or writes, by name. */
  readonly bindings: Readonly<Record<string, When>>;
  /** Bindings that it stores to. */
  readonly writes: Readonly<Record<string, When>>;
  /** Uniform fields that it reads. */
  readonly uniforms: Readonly<Record<string, When>>;
}

/** A kernel file that has entry points, together with what it imports. */
export interface KernelContract {
  /** Names in its `@if`. */
  readonly conditions: readonly string[];
  /** Names that it imports from `constants`: the host gives each a whole number. */
  readonly constants: readonly string[];
  /** Names that it takes from `extensions.wesl`. */
  readonly extensions: readonly string[];
  readonly bindings: readonly BindingContract[];
  readonly uniforms: readonly UniformContract[];
  readonly entries: Readonly<Record<string, EntryContract>>;
}

/** Whether something is there in a variant with these conditions. */
export function holds(when: When | undefined, conditions: Readonly<Record<string, boolean>>): boolean {
  if (when === undefined || when === true) return true;
  return when.some((all) =>
    all.every((literal) =>
      literal.startsWith('!') ? !conditions[literal.slice(1)] : conditions[literal] === true,
    ),
  );
}
