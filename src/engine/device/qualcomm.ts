/** Qualcomm GPUs (Adreno). */
import { gpu } from './gpu.ts';
import type { DeviceProfile } from './profile.ts';

export const qualcomm: DeviceProfile = {
  ...gpu,
  name: 'qualcomm',
  title: 'Qualcomm GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'qualcomm',
  kernels: {
    ...gpu.kernels,
    convolution: { ...gpu.kernels.convolution },
    weight_gradient: { ...gpu.kernels.weight_gradient },
  },
};
