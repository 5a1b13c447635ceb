/** What the choice of kernels needs to know of a device: plain data, so that plans are made without one. */

/**
 * A product that a device's matrix units compute: [rows, depth] times [depth, columns], with a sum in 32
 * bits.
 */
export interface MatrixUnit {
  /** Type of the operands. */
  readonly component: 'f16' | 'f32';
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Computed by plain arithmetic, for tests on devices without matrix units. */
  readonly emulated?: boolean;
}

/** A configuration of the convolution or weight-gradient kernels. */
export interface GemmConfiguration {
  readonly shape: 'lane' | 'tile' | 'matrix';
  /** Lanes that share loads through broadcasts; 1 = no subgroups (lane shape only). */
  readonly subgroup: number;
  /** Subgroups per workgroup: independent tiles (lane shape), or parts of one (matrix shape). */
  readonly subgroups: number;
  /** Rows per subgroup or thread; in quads of rows for weight gradients. */
  readonly rows: number;
  /** Column quads per lane or thread. */
  readonly columns: number;
  /** K step of the tile and matrix shapes, in quads. */
  readonly depth: number;
  /** Matrix shape only. */
  readonly unit?: MatrixUnit;
}

export type GemmFamily = 'convolution' | 'weight_gradient';

/** The size of a matrix product: what a configuration is chosen by. */
export interface GemmProblem {
  readonly family: GemmFamily;
  readonly rows: number;
  readonly columnQuads: number;
  /** Steps of the sum. */
  readonly depth: number;
  /** Both operands are 16-bit floats. */
  readonly half?: boolean;
}

/** What selection needs to know of a device; plain data, so that the pass runs without one. */
export interface Target {
  readonly name: string;
  /** Subgroup size if it is fixed and subgroups are available, else 0. */
  readonly subgroupSize: number;
  /** A software driver: loads are expensive, workgroup memory is no faster than storage. */
  readonly software: boolean;
  /** Workgroups that keep the device busy; split sums aim at it. */
  readonly parallelism: number;
  readonly maxStorageBufferBindingSize: number;
  /** Whether kernels read their operands from storage textures where that pays. */
  readonly textures: boolean;
  /** Most lines of a texture. */
  readonly maxTextureSize: number;
  /** Whether 3x3 convolutions with fixed weights take Winograd's form. */
  readonly winograd: boolean;
  /**
   * Whether batch norms in training take their statistics from the convolution before, which spares a pass
   * over its output. On software drivers that pass costs less than the sums in the epilogue
   * (docs/performance.md).
   */
  readonly epilogueStatistics: boolean;
  /** Matrix units that kernels may use; none on devices that are not opened with `subgroupMatrices`. */
  readonly matrixUnits?: readonly MatrixUnit[];
  /** Configurations that `aand tune` found, by tuning key; the table decides for the others. */
  readonly tuned?: Readonly<Record<string, GemmConfiguration>>;
  /** For what runs once, when a program is built: memory is new then, and touching it is what costs. */
  readonly once?: boolean;
  /** Forces the number of ranges of split sums, for tests. */
  readonly splits?: number;
  /** Forces a configuration, for tests and the tuner. */
  readonly force?: Partial<Record<GemmFamily, GemmConfiguration>>;
}
