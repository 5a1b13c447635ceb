import { describe, expect, test } from 'vitest';
import { describeAdapter } from '../src/engine/device/adapter.ts';
import { amd } from '../src/engine/device/amd.ts';
import { apple } from '../src/engine/device/apple.ts';
import { arm } from '../src/engine/device/arm.ts';
import { cpu } from '../src/engine/device/cpu.ts';
import { gpu } from '../src/engine/device/gpu.ts';
import { intel } from '../src/engine/device/intel.ts';
import { matrixCandidates } from '../src/engine/device/matrix_products.ts';
import { mesaCpu } from '../src/engine/device/mesa_cpu.ts';
import { nvidia } from '../src/engine/device/nvidia.ts';
import type { DeviceProfile } from '../src/engine/device/profile.ts';
import { profileOf, profiles } from '../src/engine/device/profiles.ts';
import { qualcomm } from '../src/engine/device/qualcomm.ts';
import { swiftshader } from '../src/engine/device/swiftshader.ts';
import type { OfferedTarget, Target } from '../src/engine/device/target.ts';
import { tuningFingerprint } from '../src/engine/device/tuning.ts';
import { offered, planning } from './support/targets.ts';

interface Info {
  readonly vendor?: string;
  readonly architecture?: string;
  readonly device?: string;
  readonly description?: string;
  readonly subgroups?: readonly [least: number, most: number];
  readonly fallback?: boolean;
}

function adapter(info: Info) {
  const { vendor = '', architecture = '', device = '', description = '', subgroups, fallback = false } = info;
  return describeAdapter({
    features: new Set(
      subgroups ? ['timestamp-query', 'subgroups'] : ['timestamp-query'],
    ) as GPUSupportedFeatures,
    info: {
      vendor,
      architecture,
      device,
      description,
      subgroupMinSize: subgroups?.[0] ?? 4,
      subgroupMaxSize: subgroups?.[1] ?? 128,
      isFallbackAdapter: fallback,
    } as GPUAdapterInfo,
  });
}

// The first four are what Dawn 0.6.2, Chromium and Firefox said on a machine without a GPU.
const adapters: Record<string, [Info, DeviceProfile]> = {
  'lavapipe in Node': [
    {
      vendor: 'mesa',
      architecture: 'software',
      device: 'llvmpipe-llvm-15-0-6-256-bits-',
      description: 'llvmpipe: Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6) 0.0.1',
      subgroups: [8, 8],
      fallback: true,
    },
    mesaCpu,
  ],
  'SwiftShader in Node': [
    {
      vendor: 'google',
      architecture: 'swiftshader',
      device: 'swiftshader-device-subzero-',
      description: 'SwiftShader driver 5.0.0',
      subgroups: [4, 4],
      fallback: true,
    },
    swiftshader,
  ],
  'SwiftShader in Chromium': [
    { vendor: 'google', architecture: 'swiftshader', subgroups: [4, 4], fallback: true },
    swiftshader,
  ],
  'lavapipe in Firefox, which names nothing': [{ fallback: true }, cpu],
  "Windows' own software driver": [
    {
      vendor: 'microsoft',
      architecture: 'warp',
      description: 'Microsoft Basic Render Driver',
      fallback: true,
    },
    cpu,
  ],
  'a driver that calls itself a CPU': [{ description: 'Some CPU (build 3)' }, cpu],
  // The next are what Dawn 0.6.2 said on Mesa's drivers over devices that do nothing.
  "AMD's RDNA 3 (Navi 31)": [
    {
      vendor: 'amd',
      architecture: 'rdna-3',
      device: 'null-hardware-radv-navi31-',
      description: 'radv: Mesa 25.0.7-2~bpo12+1',
      subgroups: [32, 64],
    },
    amd,
  ],
  "AMD's RDNA 3 in an APU, whose architecture Dawn does not name": [
    {
      vendor: 'amd',
      architecture: '',
      device: 'null-hardware-radv-phoenix-',
      description: 'radv: Mesa 25.0.7-2~bpo12+1',
      subgroups: [32, 64],
    },
    amd,
  ],
  "AMD's GCN 5 (Renoir)": [
    {
      vendor: 'amd',
      architecture: 'gcn-5',
      device: 'null-hardware-radv-renoir-',
      description: 'radv: Mesa 25.0.7-2~bpo12+1',
      subgroups: [64, 64],
    },
    amd,
  ],
  "Intel's Alder Lake": [
    {
      vendor: 'intel',
      architecture: 'gen-12lp',
      device: 'intel-r-uhd-graphics-770-adl-s-gt1-',
      description: 'Intel open-source Mesa driver: Mesa 25.0.7-2~bpo12+1',
      subgroups: [8, 32],
    },
    intel,
  ],
  "Intel's Lunar Lake": [
    {
      vendor: 'intel',
      architecture: 'xe-2lpg',
      device: 'intel-r-graphics-lnl-',
      description: 'Intel open-source Mesa driver: Mesa 25.0.7-2~bpo12+1',
      subgroups: [16, 32],
    },
    intel,
  ],
  "Qualcomm's Adreno 740": [
    {
      vendor: 'qualcomm',
      architecture: 'adreno-7xx',
      device: 'turnip-adreno-tm-740',
      description: 'turnip Mesa driver: Mesa 25.0.7',
      subgroups: [64, 128],
    },
    qualcomm,
  ],
  "Arm's Mali-G610, whose driver has no subgroups": [
    { vendor: 'arm', architecture: 'valhall', device: 'mali-g610', description: 'panvk: Mesa 25.0.7' },
    arm,
  ],
  "Apple's M1": [
    {
      vendor: 'apple',
      architecture: 'metal-3',
      device: 'apple-m1-g13g-a0-',
      description: 'Honeykrisp: Mesa 25.0.7',
      subgroups: [32, 32],
    },
    apple,
  ],
  "NVIDIA's Ampere, whose architecture NVK does not name": [
    {
      vendor: 'nvidia',
      architecture: 'kepler',
      device: 'nvk-',
      description: 'NVK: Mesa 25.0.7-2+deb13u1 25.0.0.7',
      subgroups: [32, 32],
    },
    nvidia,
  ],
  'a GPU in a browser that names nothing': [{}, gpu],
};

describe('an adapter gets the profile that recognises it', () => {
  test.each(Object.entries(adapters))('%s', (_, [info, profile]) => {
    expect(profileOf(adapter(info)).name).toBe(profile.name);
  });

  test('the first of a list, so that a special one can stand before', () => {
    const ampere: DeviceProfile = { ...gpu, name: 'ampere', recognises: (a) => a.architecture === 'ampere' };
    const list = [ampere, ...profiles];
    expect(profileOf(adapter({ vendor: 'nvidia', architecture: 'ampere' }), list)).toBe(ampere);
    expect(profileOf(adapter({ vendor: 'nvidia', architecture: 'turing' }), list)).toBe(nvidia);
  });

  test('a subgroup has a size where the adapter fixes it and offers subgroups', () => {
    const size = (info: Info) => adapter(info).subgroupSize;
    expect([size({ subgroups: [8, 8] }), size({ subgroups: [32, 64] }), size({})]).toEqual([8, 0, 0]);
    expect(adapter({ subgroups: [32, 64] }).subgroupSizes).toEqual({ least: 32, most: 64 });
  });

  test.each<[DeviceProfile, least: number, most: number, chosen: number]>([
    [amd, 32, 64, 32],
    [amd, 64, 64, 64],
    [intel, 8, 32, 8],
    [intel, 16, 32, 16],
    [nvidia, 32, 32, 32],
    [apple, 4, 64, 32],
    [qualcomm, 64, 128, 64],
    [arm, 16, 16, 16],
    // A size that the device has not is not chosen.
    [arm, 4, 8, 0],
    [gpu, 8, 32, 0],
  ])('$0.name relies on lanes that the device fixes or lets kernels choose ($1 to $2)', (profile, ...sizes) => {
    const [least, most, chosen] = sizes;
    const fixed = least === most ? least : 0;
    const size = (own: Partial<OfferedTarget>) =>
      profile.target({ ...offered, subgroupSizes: { least, most }, ...own }).subgroupSize;
    expect(size({ subgroupSize: fixed, subgroupSizeControl: true })).toBe(chosen);
    // Browsers without the feature, and minimal mode: none where the device leaves a choice.
    expect(size({ subgroupSize: fixed, subgroupSizeControl: false })).toBe(fixed);
    expect(size({ subgroupSize: 0, subgroupSizes: { least: 0, most: 0 } })).toBe(0);
  });

  test('tunings of a device whose kernels choose their lanes are not those of one where they cannot', () => {
    const fingerprint = (subgroupSizeControl: boolean) =>
      tuningFingerprint({
        adapter: adapter({ vendor: 'amd' }),
        lowering: planning({ profile: amd, target: { subgroupSize: 32, subgroupSizeControl } }),
      });
    expect(fingerprint(true)).not.toBe(fingerprint(false));
  });

  test('what counts on the lanes of a subgroup is compiled for them where the device leaves a choice', () => {
    const lanes = (own: Partial<Target>) =>
      matrixCandidates('convolution', { ...planning({ profile: cpu }).target, subgroupSize: 32, ...own })
        .filter(({ conditions }) => conditions?.subgroups)
        .map(({ subgroupSize }) => subgroupSize);
    const ranging = { subgroupSizeControl: true, subgroupSizes: { least: 32, most: 64 } };
    expect(new Set(lanes(ranging))).toEqual(new Set([32]));
    expect(new Set(lanes({ subgroupSizes: { least: 32, most: 32 } }))).toEqual(new Set([undefined]));
  });
});

test('names are unique, and every fault says what is done and when that can go', () => {
  expect(new Set(profiles.map(({ name }) => name)).size).toBe(profiles.length);
  for (const { faults } of profiles)
    for (const { fault, workaround, evidence, until } of faults)
      for (const text of [fault, workaround, evidence, until]) expect(text.length).toBeGreaterThan(10);
});
