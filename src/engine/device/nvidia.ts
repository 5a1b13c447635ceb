/** NVIDIA GPUs. */
import { gpu } from './gpu.ts';
import type { DeviceProfile } from './profile.ts';
import { largeShapes, weightGradientFamily } from './weight_gradients.ts';

export const nvidia: DeviceProfile = {
  ...gpu,
  name: 'nvidia',
  title: 'NVIDIA GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'nvidia',
  kernels: {
    ...gpu.kernels,
    convolution: { ...gpu.kernels.convolution },
    weight_gradient: weightGradientFamily(() => largeShapes),
  },
};
