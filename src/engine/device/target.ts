/** What a device is and offers, as plain data: plans are made from it without a device. */

/**
 * A product that a device's matrix units compute: [rows, depth] times [depth, columns], summed in 32 bits.
 */
export interface MatrixUnit {
  /** Type of the operands. */
  readonly component: 'f16' | 'f32';
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /**
   * Lanes of a subgroup that it is tried with where the device fixes none; an engine uses it only after a
   * product on it was right.
   */
  readonly lanes?: number;
  /** Computed by plain arithmetic, for tests on devices without matrix units. */
  readonly emulated?: boolean;
}

/** What an opened device offers; a profile makes its {@link Target} of it. */
export interface OfferedTarget {
  /** Vendor and architecture, for people. */
  readonly name: string;
  /** As `AdapterDescription` has it. */
  readonly vendor: string;
  /** As `AdapterDescription` has it. */
  readonly architecture: string;
  /** The device by its name or number, where the adapter tells one, which browsers do not. */
  readonly device?: string;
  /** The driver in its own words, empty where it does not tell. */
  readonly driver: string;
  /**
   * Lanes of a subgroup where the number is fixed and subgroups are available, else 0. A profile's target may
   * choose it where `subgroupSizeControl` holds.
   */
  readonly subgroupSize: number;
  /**
   * Whether a kernel may be compiled for any number of lanes from `subgroupSizes.least` to
   * `subgroupSizes.most` that is a power of two (`KernelCandidate.subgroupSize`).
   */
  readonly subgroupSizeControl: boolean;
  /** Least and most lanes of a subgroup, 0 where the adapter does not tell. */
  readonly subgroupSizes: { readonly least: number; readonly most: number };
  /** Most bytes of a storage buffer that a kernel sees at once. */
  readonly maxStorageBufferBindingSize: number;
  /** Most texels of a texture's side. */
  readonly maxTextureSize: number;
  /** Bytes of workgroup memory. */
  readonly maxWorkgroupMemory: number;
  /** Most threads of a workgroup. */
  readonly maxWorkgroupThreads: number;
  /** Whether kernels may read storage textures. */
  readonly storageTextures: boolean;
  /** Whether kernels may compute with 16-bit floats. */
  readonly half: boolean;
  /** Matrix units that kernels may use; none on devices that are not opened with `subgroupMatrices`. */
  readonly matrixUnits?: readonly MatrixUnit[];
}

/** What kernels and rewrites are chosen by. */
export interface Target extends OfferedTarget {
  /** Workgroups that keep the device busy: the profile's estimate, which split sums aim at. */
  readonly parallelism: number;
}

/**
 * Whether kernels that rely on `subgroupSize` must be compiled for it (`KernelCandidate.subgroupSize`),
 * because the driver may choose another number of lanes.
 */
export function choosesLanes({ subgroupSizeControl, subgroupSizes, subgroupSize }: OfferedTarget): boolean {
  return subgroupSizeControl && subgroupSize > 0 && subgroupSizes.least !== subgroupSizes.most;
}

/**
 * Lanes of a subgroup that kernels may rely on: the reported number where it is fixed, the wanted one where a
 * kernel may choose and the device has it, else none.
 */
export function reliableLanes(offered: OfferedTarget, wanted: number): number {
  const { subgroupSize, subgroupSizeControl, subgroupSizes } = offered;
  if (subgroupSize > 0) return subgroupSize;
  const has = subgroupSizes.least <= wanted && wanted <= subgroupSizes.most;
  return subgroupSizeControl && has ? wanted : 0;
}
