/** What an adapter says of itself: takes WebGPU's adapter, gives plain data that profiles recognise it by. */

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
  /** WebGPU's mark of an adapter that is slower than the machine's GPU: a software driver. */
  readonly fallback: boolean;
}

/** WebGPU's feature by which a kernel chooses the lanes of its subgroups. */
export const subgroupSizeControlFeature = 'subgroup-size-control' as GPUFeatureName;

export function describeAdapter(adapter: Pick<GPUAdapter, 'features' | 'info'>): AdapterDescription {
  const { vendor, architecture, device, description, subgroupMinSize, subgroupMaxSize, isFallbackAdapter } =
    adapter.info as GPUAdapterInfo & { isFallbackAdapter?: boolean };
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
    fallback: isFallbackAdapter === true,
  };
}

/** Everything an adapter says of itself in one line of lower-case text, for recognition by words. */
export function adapterText({ vendor, architecture, device, description }: AdapterDescription): string {
  return `${vendor} ${architecture} ${device} ${description}`.toLowerCase();
}
