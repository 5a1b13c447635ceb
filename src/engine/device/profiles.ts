/** The list of device profiles. */
import type { AdapterDescription } from './adapter.ts';
import { amd } from './amd.ts';
import { apple } from './apple.ts';
import { arm } from './arm.ts';
import { cpu } from './cpu.ts';
import { gpu } from './gpu.ts';
import { intel } from './intel.ts';
import { mesaCpu } from './mesa_cpu.ts';
import { nvidia } from './nvidia.ts';
import type { DeviceProfile } from './profile.ts';
import { qualcomm } from './qualcomm.ts';
import { swiftshader } from './swiftshader.ts';

/** In order: the first that recognises an adapter is taken, so special ones stand before general ones. */
export const profiles: readonly DeviceProfile[] = [
  mesaCpu,
  swiftshader,
  cpu,
  amd,
  nvidia,
  intel,
  apple,
  qualcomm,
  arm,
  gpu,
];

/** The profile of an adapter; `gpu` where none recognises it. */
export function profileOf(
  adapter: AdapterDescription,
  list: readonly DeviceProfile[] = profiles,
): DeviceProfile {
  return list.find((profile) => profile.recognises(adapter)) ?? gpu;
}
