/** The list of device profiles. */
import type { AdapterDescription } from './adapter.ts';
import { cpu } from './cpu.ts';
import { gpu } from './gpu.ts';
import { mesaCpu } from './mesa_cpu.ts';
import type { DeviceProfile } from './profile.ts';
import { swiftshader } from './swiftshader.ts';

/** In order: the first that recognises an adapter is taken, so special ones stand before general ones. */
export const profiles: readonly DeviceProfile[] = [mesaCpu, swiftshader, cpu, gpu];

/** The profile of an adapter; `gpu` where none recognises it. */
export function profileOf(
  adapter: AdapterDescription,
  list: readonly DeviceProfile[] = profiles,
): DeviceProfile {
  return list.find((profile) => profile.recognises(adapter)) ?? gpu;
}
