/** What an adapter says of itself. */

export interface AdapterDescription {
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  readonly features: readonly string[];
  readonly subgroupSize: number;
  readonly software: boolean;
}

export function describeAdapter(adapter: GPUAdapter): AdapterDescription {
  const info = adapter.info;
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`.toLowerCase();
  const fallback = (info as GPUAdapterInfo & { isFallbackAdapter?: boolean }).isFallbackAdapter === true;
  const fixed = info.subgroupMinSize === info.subgroupMaxSize ? info.subgroupMinSize : 0;
  return {
    vendor: info.vendor,
    architecture: info.architecture,
    description: info.description || info.device,
    features: [...adapter.features].sort(),
    subgroupSize: adapter.features.has('subgroups') ? (fixed ?? 0) : 0,
    software: fallback || /swiftshader|llvmpipe|lavapipe|software|\bcpu\b/.test(text),
  };
}

/** Mesa's software driver: the code that it compiles checks every access to a buffer or texture. */
export function isMesaSoftware({ description }: AdapterDescription): boolean {
  return description.includes('llvmpipe');
}
