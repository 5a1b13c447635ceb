/** How a WebGPU implementation is opened, where it lets us choose. */
export interface GpuSettings {
  /** Checks of bounds and of endless loops in kernels; a driver may check bounds itself. */
  readonly shaderChecks: boolean;
  /** New buffers and textures are filled with zeros before their first use, unless a copy covers them. */
  readonly zeros: boolean;
  /** Extensions of WebGPU that are not finished may be asked for. */
  readonly experiments: boolean;
}
