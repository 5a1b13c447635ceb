/** Adapters that this machine does not have: as its software driver can play them, and as plans need them. */

import { arm } from '../../src/engine/device/arm.ts';
import type { LoweringContext } from '../../src/engine/device/context.ts';
import { cpu } from '../../src/engine/device/cpu.ts';
import { gpu } from '../../src/engine/device/gpu.ts';
import type { OfferedTarget } from '../../src/engine/device/target.ts';
import type { Retargeting } from '../../src/engine/runtime/retarget.ts';

/** Correctness, not speed. */
export const otherTargets = {
  'a real GPU (workgroup tiles)': { profile: gpu, target: { parallelism: 512 } },
  'an Arm GPU (registers, weights from textures)': { profile: arm },
  'a software driver without subgroups': { target: { subgroupSize: 0 } },
} satisfies Record<string, Retargeting>;

/** What a device with WebGPU's default limits and subgroups of eight lanes offers. */
export const offered: OfferedTarget = {
  name: 'none',
  vendor: '',
  architecture: '',
  driver: '',
  subgroupSize: 8,
  subgroupSizes: { least: 8, most: 8 },
  subgroupSizeControl: false,
  maxStorageBufferBindingSize: 2 ** 27,
  maxTextureSize: 8192,
  maxWorkgroupMemory: 16384,
  maxWorkgroupThreads: 256,
  storageTextures: true,
  half: true,
};

/** Who chooses for plans without a device: by default an unknown software driver's profile. */
export function planning({ target, ...changes }: Retargeting = {}): LoweringContext {
  const profile = changes.profile ?? cpu;
  return { phase: 'run', profile, ...changes, target: { ...profile.target(offered), ...target } };
}
