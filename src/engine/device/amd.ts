/** AMD GPUs: GCN 5 (Vega) computes in waves of 64 lanes, RDNA in waves of 32 or 64. */
import { gpu } from './gpu.ts';
import type { DeviceProfile } from './profile.ts';
import { reliableLanes } from './target.ts';
import { largeShapes, weightGradientFamily } from './weight_gradients.ts';

// Of RDNA's shorter waves: a lane may hold more, and its matrix units take them. GCN has waves of 64 alone.
const lanes = 32;

export const amd: DeviceProfile = {
  ...gpu,
  name: 'amd',
  title: 'AMD GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'amd',
  target: (offered) => ({ ...gpu.target(offered), subgroupSize: reliableLanes(offered, lanes) }),
  kernels: {
    ...gpu.kernels,
    convolution: { ...gpu.kernels.convolution },
    weight_gradient: weightGradientFamily(() => largeShapes),
  },
};
