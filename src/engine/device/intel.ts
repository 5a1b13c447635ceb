/**
 * Intel GPUs: a thread has 128 registers of 32 bytes, so the lanes of a subgroup decide how much each may
 * hold.
 */
import { gpu } from './gpu.ts';
import type { DeviceProfile } from './profile.ts';

export const intel: DeviceProfile = {
  ...gpu,
  name: 'intel',
  title: 'Intel GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'intel',
  kernels: {
    ...gpu.kernels,
    convolution: { ...gpu.kernels.convolution },
    weight_gradient: { ...gpu.kernels.weight_gradient },
  },
};
