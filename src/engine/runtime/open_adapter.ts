/**
 * Finds the adapter and opens it as its profile says. Takes the platform and what the engine is for; gives
 * the adapter under the profile's toggles. What an adapter is can only be asked with toggles already chosen,
 * so one whose profile has some is asked for twice.
 */
import { NoAdapterError } from '../../base/errors.ts';
import type { GpuPlatform } from '../../platform/platform.ts';
import { noToggles, type Toggles } from '../../platform/toggles.ts';
import {
  type AdapterDescription,
  describeAdapter,
  subgroupMatrixFeature,
  subgroupSizeControlFeature,
} from '../device/adapter.ts';
import type { DeviceProfile, EngineUse } from '../device/profile.ts';
import { profileOf } from '../device/profiles.ts';

export interface OpenedAdapter {
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  /** What the adapter says under the toggles in force, which may add features. */
  readonly description: AdapterDescription;
  readonly profile: DeviceProfile;
  /** The toggles in force. */
  readonly toggles: Toggles;
}

/**
 * @param own a profile in the place of the one that recognises the adapter
 * @throws NoAdapterError where there is no adapter
 */
export async function openAdapter(
  { openGpu, adapterAdvice }: Pick<GpuPlatform, 'openGpu' | 'adapterAdvice'>,
  use: EngineUse,
  own?: DeviceProfile,
): Promise<OpenedAdapter> {
  const request = async (gpu: GPU) => {
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) throw new NoAdapterError(adapterAdvice);
    return { gpu, adapter, description: describeAdapter(adapter) };
  };
  const first = await request((await openGpu(noToggles)).gpu);
  const profile = own ?? profileOf(first.description);
  const toggles = profile.treatment.toggles(use);
  const plain = { ...first, profile, toggles: noToggles };
  if (!toggles.enabled.length && !toggles.disabled.length) return plain;
  const { gpu } = await openGpu(toggles);
  // A browser takes no toggles and gives the same object again.
  return gpu === first.gpu ? plain : { ...(await request(gpu)), profile, toggles };
}

/**
 * The optional features that an engine asks a device for: those that it uses and the adapter has.
 *
 * @param minimal none, so that the device is what WebGPU guarantees everywhere
 */
export function usedFeatures(
  adapter: { readonly features: Iterable<string> },
  { minimal, experiments }: { readonly minimal: boolean; readonly experiments: boolean },
): GPUFeatureName[] {
  if (minimal) return [];
  const used: readonly GPUFeatureName[] = [
    'subgroups',
    subgroupSizeControlFeature,
    'timestamp-query',
    'shader-f16',
    ...(experiments ? [subgroupMatrixFeature] : []),
  ];
  const offered = new Set(adapter.features);
  return used.filter((feature) => offered.has(feature));
}
