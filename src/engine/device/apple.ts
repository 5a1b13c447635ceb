/** Apple GPUs. */
import { gpu } from './gpu.ts';
import type { DeviceProfile } from './profile.ts';
import { middleShapes, weightGradientFamily } from './weight_gradients.ts';

export const apple: DeviceProfile = {
  ...gpu,
  name: 'apple',
  title: 'Apple GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'apple',
  kernels: {
    ...gpu.kernels,
    convolution: { ...gpu.kernels.convolution },
    weight_gradient: weightGradientFamily(() => middleShapes),
  },
};
