/** What differs in Node: the WebGPU implementation (Dawn, package `webgpu`). Chosen by the package's `imports` conditions. */
import { create, globals } from 'webgpu';

/** A GPU object; dropping `gpu` after `device.destroy()` lets the process exit. */
export function openGpu(): { gpu: GPU } {
  Object.assign(globalThis, globals);
  return { gpu: create([]) };
}

export const adapterAdvice =
  'No WebGPU adapter was found. With a GPU, install its Vulkan driver. Without one, install a software driver: ' +
  'Debian/Ubuntu: bash scripts/setup-system.sh (mesa-vulkan-drivers 24 or newer and libvulkan1). ' +
  'VK_DRIVER_FILES can name a driver file, for instance /usr/share/vulkan/icd.d/lvp_icd.json.';
