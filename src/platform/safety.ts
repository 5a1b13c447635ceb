/** What a WebGPU implementation does for safety, and may leave to the driver and to us where it lets us choose. */
export interface GpuSafety {
  /** Checks of bounds and of endless loops in kernels; a driver may check bounds itself. */
  readonly shaderChecks: boolean;
  /** New buffers and textures are filled with zeros before their first use, unless a copy covers them. */
  readonly zeros: boolean;
}
