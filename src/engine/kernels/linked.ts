/** What the host knows of a linked kernel. */

export interface UniformField {
  readonly name: string;
  readonly type: 'u32' | 'i32' | 'f32';
}

export interface LinkedKernel {
  readonly code: string;
  readonly uniforms: readonly UniformField[];
  readonly bindings: ReadonlyMap<string, KernelBinding>;
}

/** A resource of a kernel: a storage buffer, or a storage texture that it reads or writes. */
export interface KernelBinding {
  readonly index: number;
  readonly kind: 'buffer' | 'texture' | 'written texture';
  /** Of a texture. */
  readonly format: GPUTextureFormat;
}
