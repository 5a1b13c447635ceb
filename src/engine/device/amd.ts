/** AMD GPUs: GCN 5 (Vega) computes in waves of 64 lanes, RDNA in waves of 32 or 64. */
import { gpu } from './gpu.ts';
import type { DeviceProfile } from './profile.ts';
import { largeShapes, weightGradientFamily } from './weight_gradients.ts';

export const amd: DeviceProfile = {
  ...gpu,
  name: 'amd',
  title: 'AMD GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'amd',
  kernels: {
    ...gpu.kernels,
    convolution: { ...gpu.kernels.convolution },
    weight_gradient: weightGradientFamily(() => largeShapes),
  },
};
