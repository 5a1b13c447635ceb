/** What an adapter says of itself: takes WebGPU's adapter, gives plain data that profiles recognise it by. */

/** The feature's name in Dawn and Chromium; offered where experiments are allowed. */
export const subgroupMatrixFeature = 'chromium-experimental-subgroup-matrix' as GPUFeatureName;

/** A product of subgroup matrices that an adapter lists: [M, K] times [K, N]. */
export interface SubgroupMatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** What an adapter says of itself; strings are empty where it does not tell. */
export interface AdapterDescription {
  /** As `nvidia`, in lower case. */
  readonly vendor: string;
  /** The GPU's family, as `turing`. */
  readonly architecture: string;
  /** The vendor's name or number of the GPU. */
  readonly device: string;
  /** The driver in its own words, with its version where it tells one; browsers often leave it empty. */
  readonly description: string;
  /** WebGPU's optional features that it offers, sorted. */
  readonly features: readonly string[];
  /** Lanes of a subgroup where the number is fixed and subgroups are offered, else 0. */
  readonly subgroupSize: number;
  /** Whether it lets a kernel choose the lanes of its subgroups (feature `subgroup-size-control`). */
  readonly subgroupSizeControl: boolean;
  /** Least and most lanes of a subgroup, 0 where the adapter does not tell. */
  readonly subgroupSizes: { readonly least: number; readonly most: number };
  /** Products of subgroup matrices; none where it is opened without experiments. */
  readonly matrixProducts: readonly SubgroupMatrixConfig[];
  /** WebGPU's mark of an adapter that is slower than the machine's GPU: a software driver. */
  readonly fallback: boolean;
}

/** WebGPU's feature by which a kernel chooses the lanes of its subgroups. */
export const subgroupSizeControlFeature = 'subgroup-size-control' as GPUFeatureName;

export function describeAdapter(adapter: Pick<GPUAdapter, 'features' | 'info'>): AdapterDescription {
  const info = adapter.info as GPUAdapterInfo & {
    readonly isFallbackAdapter?: boolean;
    readonly subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfig>;
  };
  const { vendor, architecture, device, description, subgroupMinSize, subgroupMaxSize } = info;
  const [least, most] = [subgroupMinSize ?? 0, subgroupMaxSize ?? 0];
  return {
    vendor,
    architecture,
    device,
    description: description || device,
    features: [...adapter.features].sort(),
    subgroupSize: adapter.features.has('subgroups') && least === most ? least : 0,
    subgroupSizeControl: ['subgroups' as const, subgroupSizeControlFeature].every((feature) =>
      adapter.features.has(feature),
    ),
    subgroupSizes: { least, most },
    matrixProducts: adapter.features.has(subgroupMatrixFeature)
      ? [...(info.subgroupMatrixConfigs ?? [])].map(({ componentType, resultComponentType, M, N, K }) => ({
          componentType,
          resultComponentType,
          M,
          N,
          K,
        }))
      : [],
    fallback: info.isFallbackAdapter === true,
  };
}

/** Everything an adapter says of itself in one line of lower-case text, for recognition by words. */
export function adapterText({ vendor, architecture, device, description }: AdapterDescription): string {
  return `${vendor} ${architecture} ${device} ${description}`.toLowerCase();
}
