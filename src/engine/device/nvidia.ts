/** NVIDIA GPUs. */
import type { Toggles } from '../../platform/toggles.ts';
import { convolutionFamily, largeTiles } from './convolution_tiles.ts';
import { gpu } from './gpu.ts';
import { rowKernels } from './gpu_rows.ts';
import type { DeviceProfile, EngineUse } from './profile.ts';
import { reliableLanes } from './target.ts';
import { largeShapes, largeShapesAtOnce, weightGradientFamily } from './weight_gradients.ts';

// Of a warp, on every architecture.
const lanes = 32;

function nvidiaToggles(use: EngineUse): Toggles {
  const { enabled, disabled } = gpu.treatment.toggles(use);
  return { enabled: [...enabled, 'vulkan_enable_f16_on_nvidia'], disabled };
}

export const nvidia: DeviceProfile = {
  ...gpu,
  name: 'nvidia',
  title: 'NVIDIA GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'nvidia',
  target: (offered) => ({
    ...offered,
    subgroupSize: reliableLanes(offered, lanes),
    // Cards for desks and racks: 60 multiprocessors of four schedulers, two warps for each.
    parallelism: 512,
  }),
  kernels: {
    ...gpu.kernels,
    gate: rowKernels.gate,
    convolution: convolutionFamily(() => largeTiles),
    weight_gradient: weightGradientFamily(
      () => largeShapes,
      () => 0,
      largeShapesAtOnce,
    ),
  },
  treatment: { ...gpu.treatment, toggles: nvidiaToggles },
  faults: [
    ...gpu.faults,
    {
      fault: 'On Vulkan Dawn offers no 16-bit floats (shader-f16), although the driver has them.',
      workaround: 'In Node the toggle vulkan_enable_f16_on_nvidia is on.',
      evidence: 'an adapter of NVK lists shader-f16 with the toggle and not without it',
      until: 'Dawn offers the feature by itself',
    },
  ],
};
