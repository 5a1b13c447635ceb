/** Switches of the WebGPU implementation (Dawn's toggles), where a program may set them: in Node alone. */
export interface Toggles {
  /** Names of toggles that are on beside the implementation's own choice. */
  readonly enabled: readonly string[];
  /** Names of toggles that are off although the implementation would choose them. */
  readonly disabled: readonly string[];
}

/** The implementation's own choice. */
export const noToggles: Toggles = { enabled: [], disabled: [] };
