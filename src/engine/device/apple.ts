/** Apple GPUs. */
import { gpu } from './gpu.ts';
import type { DeviceProfile } from './profile.ts';
import { reliableLanes } from './target.ts';
import { middleShapes, weightGradientFamily } from './weight_gradients.ts';

// Of every Apple GPU, where it lets kernels choose.
const lanes = 32;

export const apple: DeviceProfile = {
  ...gpu,
  name: 'apple',
  title: 'Apple GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'apple',
  target: (offered) => ({ ...gpu.target(offered), subgroupSize: reliableLanes(offered, lanes) }),
  kernels: {
    ...gpu.kernels,
    convolution: { ...gpu.kernels.convolution },
    weight_gradient: weightGradientFamily(() => middleShapes),
  },
};
