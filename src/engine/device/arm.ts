/** Arm GPUs (Mali): 64 registers per thread, and workgroup memory is plain memory. */
import { gpu } from './gpu.ts';
import type { DeviceProfile } from './profile.ts';

export const arm: DeviceProfile = {
  ...gpu,
  name: 'arm',
  title: 'Arm GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'arm',
  kernels: {
    ...gpu.kernels,
    convolution: { ...gpu.kernels.convolution },
    weight_gradient: { ...gpu.kernels.weight_gradient },
  },
};
