/**
 * Sizes that kernels and host must agree on. Kernel files have them as literals or constants of their own;
 * `test/profiles.test.ts` compares both.
 */

/** Threads of a workgroup, in every kernel whose shape is not chosen. */
export const workgroupSize = 64;

/** Threads of a workgroup that adds up by itself (`workgroup_sum`). */
export const sumThreads = 256;

/** Quads in a line of a storage texture. */
export const textureWidth = 4096;

/** Quads of output channels in a line of packed weights (`texture.wesl`). */
export const packedQuads = 8;

/** Rows of the weights that a thread of `texture.pack` copies. */
export const packedRows = 64;

/** Rows of the weights that a thread of `batch_norm_fold.scale_weights` scales. */
export const scaledRows = 16;

/** Terms of the longest sum in 16 bits, for whose weights `half_runs` makes room. */
export const longestHalfRun = 16;

/** The score map's Gaussian (method, 3.13): its deviation in pixels, and how far its taps reach. */
export const scoreMapGaussian = { sigma: 4, radius: 16 } as const;

/** Pixels that a workgroup of `score_map.smooth_columns` computes. */
export const scoreMapTile = { width: 64, height: 16 } as const;

/** What the workgroup memory of `score_map.smooth_rows` holds. */
export const scoreMapLimits = {
  /** Pixels in a row of the map. */
  row: 2784,
  /** Values in a row of all three levels together. */
  levels: 1220,
} as const;
