/** Which toggles and features are asked for on made-up adapters, and how often an adapter is asked for. */
import { describe, expect, test } from 'vitest';
import { NoAdapterError } from '../src/base/errors.ts';
import { mesaCpu } from '../src/engine/device/mesa_cpu.ts';
import type { EngineUse } from '../src/engine/device/profile.ts';
import { profiles } from '../src/engine/device/profiles.ts';
import { openAdapter, usedFeatures } from '../src/engine/runtime/open_adapter.ts';
import type { Toggles } from '../src/platform/toggles.ts';

const plain: EngineUse = { shaderChecks: false, experiments: false, exactTimestamps: false };
const toggle = { f16: 'vulkan_enable_f16_on_nvidia', unsafe: 'allow_unsafe_apis' };
const matrices = 'chromium-experimental-subgroup-matrix';

interface MadeUp {
  readonly vendor: string;
  readonly description?: string;
  readonly features: readonly string[];
  /** Features that a toggle brings. */
  readonly byToggle?: Readonly<Record<string, string>>;
}

const adapters = {
  lavapipe: { vendor: 'mesa', description: 'llvmpipe: Mesa', features: ['subgroups', 'shader-f16'] },
  amd: {
    vendor: 'amd',
    features: ['subgroups', 'subgroup-size-control', 'shader-f16', 'timestamp-query'],
    byToggle: { [toggle.unsafe]: matrices },
  },
  nvidia: {
    vendor: 'nvidia',
    features: ['subgroups', 'subgroup-size-control', 'timestamp-query'],
    byToggle: { [toggle.f16]: 'shader-f16', [toggle.unsafe]: matrices },
  },
  intel: { vendor: 'intel', features: ['subgroups', 'shader-f16'] },
} satisfies Record<string, MadeUp>;

/** A platform with one adapter; it keeps what it was asked for. A browser's object is always the same. */
function platformOf({ vendor, description = '', features, byToggle = {} }: MadeUp, browser = false) {
  const asked: { readonly toggles: Toggles[]; adapters: number } = { toggles: [], adapters: 0 };
  const objectFor = ({ enabled }: Toggles): GPU => {
    const added = enabled.flatMap((name) => byToggle[name] ?? []);
    const adapter = { features: new Set([...features, ...added]), info: { vendor, description } };
    return {
      requestAdapter: async () => {
        asked.adapters++;
        return adapter;
      },
    } as unknown as GPU;
  };
  const same = objectFor({ enabled: [], disabled: [] });
  return {
    asked,
    adapterAdvice: 'install a driver',
    openGpu: async (toggles: Toggles) => {
      asked.toggles.push(toggles);
      return { gpu: browser ? same : objectFor(toggles) };
    },
  };
}

describe('toggles', () => {
  const cases: [keyof typeof adapters, Partial<EngineUse>, Toggles][] = [
    ['lavapipe', {}, { enabled: ['disable_robustness'], disabled: ['lazy_clear_resource_on_first_use'] }],
    ['lavapipe', { shaderChecks: true }, { enabled: [], disabled: ['lazy_clear_resource_on_first_use'] }],
    ['amd', {}, { enabled: [], disabled: [] }],
    ['amd', { experiments: true }, { enabled: [toggle.unsafe], disabled: [] }],
    ['amd', { exactTimestamps: true }, { enabled: [], disabled: ['timestamp_quantization'] }],
    ['nvidia', {}, { enabled: [toggle.f16], disabled: [] }],
    [
      'nvidia',
      { experiments: true, exactTimestamps: true },
      { enabled: [toggle.unsafe, toggle.f16], disabled: ['timestamp_quantization'] },
    ],
    ['intel', {}, { enabled: [], disabled: [] }],
  ];

  test.each(cases)('%s with %o', async (name, use, expected) => {
    const platform = platformOf(adapters[name]);
    const { toggles } = await openAdapter(platform, { ...plain, ...use });
    expect(toggles).toEqual(expected);
    const needed = expected.enabled.length + expected.disabled.length > 0;
    // What an adapter is is asked without toggles, and again with them only where there are some.
    expect(platform.asked.toggles).toEqual([{ enabled: [], disabled: [] }, ...(needed ? [expected] : [])]);
    expect(platform.asked.adapters).toBe(needed ? 2 : 1);
  });

  test('an adapter is described with the features that its toggles bring', async () => {
    const { description, profile } = await openAdapter(platformOf(adapters.nvidia), plain);
    expect([profile.name, description.features.includes('shader-f16')]).toEqual(['nvidia', true]);
  });

  test('a browser has none, and is asked for its adapter once', async () => {
    const platform = platformOf(adapters.nvidia, true);
    const { toggles, description } = await openAdapter(platform, { ...plain, exactTimestamps: true });
    expect(toggles).toEqual({ enabled: [], disabled: [] });
    expect(description.features).not.toContain('shader-f16');
    expect(platform.asked.adapters).toBe(1);
  });

  test("a test's own profile chooses them", async () => {
    const { toggles, profile } = await openAdapter(platformOf(adapters.amd), plain, mesaCpu);
    expect([profile, toggles.enabled]).toEqual([mesaCpu, ['disable_robustness']]);
  });

  test('without an adapter the advice is the error', async () => {
    const none = {
      adapterAdvice: 'install a driver',
      openGpu: async () => ({ gpu: { requestAdapter: async () => null } as unknown as GPU }),
    };
    await expect(openAdapter(none, plain)).rejects.toThrow(NoAdapterError);
    await expect(openAdapter(none, plain)).rejects.toThrow('install a driver');
  });

  test('no profile leaves bounds unchecked on a GPU', () => {
    for (const { processor, treatment } of profiles)
      if (processor === 'gpu') expect(treatment.toggles(plain).enabled).not.toContain('disable_robustness');
  });
});

test('a device has the features that kernels use, and none in minimal mode', () => {
  const features = (experiments: boolean, minimal = false) =>
    usedFeatures({ features: [...adapters.amd.features, matrices, 'other'] }, { experiments, minimal });
  const stable = ['subgroups', 'subgroup-size-control', 'timestamp-query', 'shader-f16'];
  expect([features(false), features(true)]).toEqual([stable, [...stable, matrices]]);
  expect(features(true, true)).toEqual([]);
  expect(usedFeatures(adapters.intel, { experiments: true, minimal: false })).toEqual([
    'subgroups',
    'shader-f16',
  ]);
});
